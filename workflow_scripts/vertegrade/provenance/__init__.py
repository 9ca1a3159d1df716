"""What ran, from what, and whether it still holds: audit, lineage, reasons of reruns, export as RO-Crate."""
