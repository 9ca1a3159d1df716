"""Settings of localization and cropping."""

from typing import Literal, Self

from pydantic import model_validator

from .base import PlainPath, Section, section, setting
from .localizer import CentrelineSettings


class LocalizeSettings(Section):
    """Where the vertebrae are."""

    method: Literal["learned", "provided", "totalsegmentator", "spineps"] = setting(
        "learned",
        "`learned`: this project's own networks. `provided`: centroids or masks named in the sample sheet (VerSe "
        "format); centroids win over a mask, on which six points are measured. `totalsegmentator`, `spineps`: the "
        "command line of the tool that you have installed with its weights (docs/how-to/external-tools.md); nothing "
        "is downloaded.",
    )
    mask_labels: Literal["verse", "totalsegmentator"] = setting(
        "verse",
        "Whose labels the masks of the sample sheet have, where they are read (`provided`, and train_localizer). "
        "`totalsegmentator`: a label map of its class map `total`, version 2; what is no vertebra in it is left out. "
        "SPINEPS has VerSe's labels.",
    )
    weights: PlainPath = setting(
        "",
        "Folder of the networks of `learned` (centreline.safetensors, vertebrae.safetensors). Empty: those that ship "
        "with Vertegrade (`models/localizer`), trained on phantoms alone.",
    )
    min_confidence: float = setting(
        0.5,
        "With `learned`: a vertebra is evaluable if the probability that it is a vertebra is at least this, and also "
        "the probability that it lies in the scan completely. Both follow from the image and from the distances to "
        "the neighbours.",
        "probability",
        ge=0,
        le=1,
    )
    centreline: CentrelineSettings = section(CentrelineSettings, "With `learned`: the spine's centreline.")
    overrides: PlainPath = setting(
        "",
        "CSV of landmarks corrected by hand (docs/how-to/corrections.md). They win over all other landmarks. Empty: "
        "none.",
    )
    tool_minutes: float = setting(
        60.0, "Time limit of one scan for `totalsegmentator` and `spineps`.", "min", gt=0, le=1440
    )
    first_vertebra: int = setting(8, "First VerSe label that is graded (8 is T1).", "VerSe label", ge=1, le=28)
    last_vertebra: int = setting(
        25, "Last VerSe label that is graded (25 is L6). 28 (T13) is graded too.", "VerSe label", ge=1, le=28
    )
    min_gap_mm: float = setting(
        8.0,
        "Neighbours whose body centres are closer than this are not evaluable. (Two crushed upper thoracic bodies are "
        "about 12 mm apart.)",
        "mm",
        gt=0,
    )
    max_gap_mm: float = setting(
        50.0,
        "Vertebrae whose body centres are further apart than this, per level between their labels, are not evaluable: "
        "labels were exchanged or a level was left out. (L4-L5 of a tall person are about 42 mm apart.)",
        "mm",
        gt=0,
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first_vertebra > self.last_vertebra:
            raise ValueError("localize.first_vertebra lies below localize.last_vertebra: swap them")
        if self.min_gap_mm >= self.max_gap_mm:
            raise ValueError("localize.min_gap_mm must be smaller than localize.max_gap_mm")
        return self


class CropSettings(Section):
    """Straightened, vertebra-centred crops of fixed millimetres."""

    size: int = setting(64, "Rows and columns of a crop.", "pixels", ge=16, le=512)
    pixel_mm: float = setting(0.75, "Side of a pixel, the same in both directions.", "mm", gt=0)
    slices: int = setting(
        5, "Number of parasagittal slices, odd: the middle one is mid-sagittal.", "slices", ge=1, le=31
    )
    slice_spacing_mm: float = setting(
        4.0, "Distance between parasagittal slices; each averages over this thickness.", "mm", gt=0
    )
    smoothing_mm: float = setting(
        100.0,
        "Smoothing of the centreline: waves of this length keep half of their height. Errors of the centres (waves of "
        "two levels, 40-70 mm) are removed; kyphosis and lordosis (350 mm and more) stay. 0: the line goes through "
        "the centres.",
        "mm",
        ge=0,
    )
    core_mm: float = setting(
        36.0,
        "Depth of the core around a vertebra's centre that must lie in the scan in all slices: a lumbar body with "
        "both endplates. Its height is the same, or the distance to the further neighbour (a body and a disc) where "
        "that is less. Outside of the core a crop may be cut, as at the first and the last vertebra.",
        "mm",
        gt=0,
    )
    min_inside: float = setting(
        0.98,
        "Smallest share of the core inside the scan; with less, the crop is not evaluable (`outside_scan`). It is "
        "less than 1, so that a corner of the tilted square does not decide.",
        "fraction",
        ge=0,
        le=1,
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.slices % 2 == 0:
            raise ValueError("crop.slices must be odd, so that one slice is mid-sagittal")
        if self.core_mm > self.size * self.pixel_mm:
            raise ValueError("crop.core_mm is larger than the crop (crop.size x crop.pixel_mm)")
        return self
