"""Figures with their intervals, as people read them."""

from typing import Any


def estimate_text(cell: dict[str, Any], digits: int = 2) -> str:
    """`0.95 (0.92–0.97)`, `0.95` without an interval, `n/a` where undefined."""
    if cell["value"] is None:
        return "n/a"
    value, low, high = (None if cell[key] is None else f"{cell[key]:.{digits}f}" for key in ("value", "low", "high"))
    if low is None:
        return f"{value}".replace("-", "−")
    between = " to " if low.startswith("-") else "–"
    return f"{value} ({low}{between}{high})".replace("-", "−")
