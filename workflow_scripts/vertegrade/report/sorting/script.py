"""The script that sorts tables."""

from pathlib import Path


def sort_script() -> str:
    """Defines `sortable(table, heads)`; a page runs it before its own script."""
    return (Path(__file__).parent / "sortable.js").read_text(encoding="utf-8")
