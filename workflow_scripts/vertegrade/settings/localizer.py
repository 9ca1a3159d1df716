"""Settings of the learned localizer."""

from .base import Section, setting


class CentrelineSettings(Section):
    """Step 1: the spine's centreline."""

    min_probability: float = setting(
        0.5, "A slice shows the spine if the network gives this probability or more.", "probability", gt=0, lt=1
    )
    max_gap_mm: float = setting(
        60.0, "Stretches of spine with less than this between them are one spine (metal, a destroyed body).", "mm", ge=0
    )
    min_length_mm: float = setting(
        40.0, "A scan that shows less spine than this, about two vertebrae, is refused (`no_spine`).", "mm", gt=0
    )
    smoothing_mm: float = setting(
        60.0, "Waves of the line of this length keep half of their height: slice-to-slice noise goes.", "mm", ge=0
    )
