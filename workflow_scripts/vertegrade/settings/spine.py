"""Settings of localization and cropping."""

from typing import Literal

from .base import Section, setting


class LocalizeSettings(Section):
    """Where the vertebrae are."""

    method: Literal["provided"] = setting(
        "provided", "`provided`: centroids or masks named in the sample sheet (VerSe format)."
    )
    first_vertebra: int = setting(8, "First VerSe label that is graded (8 = T1).", ge=1, le=28)
    last_vertebra: int = setting(25, "Last VerSe label that is graded (25 = L6); 28 (T13) is graded too.", ge=1, le=28)


class CropSettings(Section):
    """Straightened, vertebra-centred crops of fixed millimetres."""

    size: int = setting(64, "Rows and columns of a crop.", "pixels", ge=16, le=512)
    pixel_mm: float = setting(1.0, "Side of a pixel, the same in both directions.", "mm", gt=0)
    slices: int = setting(5, "Number of parasagittal slices, odd: the middle one is mid-sagittal.", ge=1, le=31)
    slice_spacing_mm: float = setting(4.0, "Distance between parasagittal slices.", "mm", gt=0)
    min_inside: float = setting(
        0.98, "A crop with a smaller share of its points inside the scan is not evaluable.", "fraction", ge=0, le=1
    )
