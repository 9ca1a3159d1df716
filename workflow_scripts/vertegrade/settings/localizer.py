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


class LocalizerTrainSettings(Section):
    """Training of the learned localizer's networks (`snakemake --cores 1 train_localizer`); no part of a usual run.

    The defaults are the training of the weights that ship (docs/design/localizer.md).
    """

    scans: int = setting(440, "Phantom scans to learn from, about a second each.", "scans", ge=0)
    own_scans: bool = setting(
        False,
        "Learn from the cohort's own scans too: those of the training split whose row of the sheet names six points, a "
        "mask or centroids (docs/design/localizer.md).",
    )
    refiner_steps: int = setting(4400, "Steps of the network that sets the six points.", ge=1)
    detector_steps: int = setting(3400, "Steps of the network that finds and names vertebrae.", ge=1)
    centreline_steps: int = setting(4000, "Steps of the network that finds the spine.", ge=1)
