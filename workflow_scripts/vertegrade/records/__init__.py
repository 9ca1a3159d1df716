"""All that a run knows of a patient as one record, and what describes the results as a data set."""
