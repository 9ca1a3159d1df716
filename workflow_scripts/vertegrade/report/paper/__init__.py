"""What a paper on a run needs: its methods in words with references, and prefilled reporting checklists."""
