"""What a run knows of itself: jobs, manifests, code hashes, audit, lineage, why, RO-Crate."""
