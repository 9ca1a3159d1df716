"""Vertegrade: calibrated Genant grades of vertebral fractures from CT. Research use only, not a medical device."""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """`grade_scan` and `open_model` of api.py, imported when asked for: imports here are in the code of every rule."""
    if name in ("grade_scan", "open_model"):
        return getattr(importlib.import_module("vertegrade.api"), name)
    raise AttributeError(f"module 'vertegrade' has no attribute {name!r}")
