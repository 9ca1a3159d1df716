"""Settings of the grading stage."""

from .base import Section


class GradingSettings(Section):
    """Settings of the grading stage."""
