"""The cohort: sample sheet, shards, patient-level splits, Genant labels, and the guard against leakage."""
