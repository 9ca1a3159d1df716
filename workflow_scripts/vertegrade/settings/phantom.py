"""Settings of the phantom stage."""

from .base import Section


class PhantomSettings(Section):
    """Settings of the phantom stage."""
