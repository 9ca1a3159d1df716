"""What would go wrong in a run, found before any work: in config, cohort, machine and cluster."""
