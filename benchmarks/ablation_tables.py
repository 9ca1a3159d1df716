"""Figures of benchmarks/ablation.py as Markdown."""

from typing import Any


def page(figures: dict[str, Any]) -> str:
    return ""
