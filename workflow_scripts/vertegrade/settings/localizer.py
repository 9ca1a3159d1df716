"""Settings of the learned localizer."""

from .base import Section, setting


class CentrelineSettings(Section):
    """Step 1: the spine's centreline."""

    min_probability: float = setting(
        0.5, "A slice shows the spine if the network gives this probability or more.", "probability", gt=0, lt=1
    )
    max_gap_mm: float = setting(
        60.0, "Parts of the spine with a smaller gap between them are joined (metal, a destroyed body).", "mm", ge=0
    )
    min_length_mm: float = setting(
        40.0, "A scan that shows less of the spine than this (about two vertebrae) is refused (`no_spine`).", "mm", gt=0
    )
    smoothing_mm: float = setting(
        60.0,
        "Smoothing of the line: waves of this length keep half of their height, and noise between slices is removed.",
        "mm",
        ge=0,
    )


class LocalizerTrainSettings(Section):
    """Training of the learned localizer's networks (`snakemake --cores 1 train_localizer`). No part of a usual run.

    The defaults are the training of the weights that ship (docs/how-to/train-localizer.md).
    """

    scans: int = setting(440, "Phantom scans to learn from; each takes about a second.", "scans", ge=0)
    own_scans: bool = setting(
        False,
        "Learn from the cohort's own scans too: those of the training split whose row of the sheet names six points, "
        "a mask or centroids (docs/how-to/train-localizer.md).",
    )
    refiner_steps: int = setting(4400, "Steps of the network that sets the six points.", ge=1)
    detector_steps: int = setting(3400, "Steps of the network that finds and names vertebrae.", ge=1)
    centreline_steps: int = setting(4000, "Steps of the network that finds the centreline.", ge=1)
