"""Settings of virtual fractures: collapses in real scans, for the challenge and for grading without labels."""

from .base import Section, setting


class VirtualSettings(Section):
    """How many scans with virtual fractures are made."""

    copies: int = setting(
        4,
        "Scans with virtual fractures that are made of each scan. In each, a quarter of the intact vertebrae collapse, "
        "as many are moved as a sham, and the others stay.",
        "scans",
        ge=1,
        le=99,
    )
