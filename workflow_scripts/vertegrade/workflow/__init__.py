"""What a run records and reports of itself: jobs, manifests, code hashes, audit, lineage, why, RO-Crate."""
