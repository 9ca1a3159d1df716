"""Settings of the phantoms' CT acquisition: how hard the scanner makes it."""

from pydantic import model_validator

from .base import Section, setting


class AcquisitionSettings(Section):
    """How phantoms are scanned. Each pair min/max is the range from which a scan draws its own value."""

    min_slice_thickness_mm: float = setting(
        0.6, "Thinnest slices. Scans with thin slices show fewer vertebrae (see max_voxels).", "mm", ge=0.4, le=6
    )
    max_slice_thickness_mm: float = setting(
        3.0, "Thickest slices. The thicker, the more an endplate blurs into the disc.", "mm", ge=0.4, le=6
    )
    min_pixel_mm: float = setting(0.7, "Smallest pixel of the delivered slices.", "mm", ge=0.4, le=2)
    max_pixel_mm: float = setting(
        1.1,
        "Largest pixel. Large pixels make a scan cheap, and are coarser than most clinical ones.",
        "mm",
        ge=0.4,
        le=2,
    )
    min_field_of_view_mm: float = setting(
        160.0, "Smallest reconstructed square (a spine reconstruction).", "mm", ge=120, le=500
    )
    max_field_of_view_mm: float = setting(260.0, "Largest reconstructed square.", "mm", ge=120, le=500)
    min_noise_hu: float = setting(
        15.0, "Noise of a soft kernel, thick slices and a high dose (standard deviation).", "HU", ge=0, le=300
    )
    max_noise_hu: float = setting(60.0, "Noise of a sharp kernel, thin slices and a low dose.", "HU", ge=0, le=300)
    calibration_offset_hu: float = setting(
        5.0, "Spread between scanners of the HU of water (standard deviation).", "HU", ge=0, le=50
    )
    calibration_slope: float = setting(
        0.015, "Spread between scanners of the HU scale (standard deviation of its slope).", "fraction", ge=0, le=0.2
    )
    metal_share: float = setting(
        0.04, "Share of scans with screws, cement or another implant, and its streaks.", "fraction", ge=0, le=1
    )
    compressed_share: float = setting(
        0.2, "Share of scans written as JPEG-LS or RLE instead of uncompressed.", "fraction", ge=0, le=1
    )
    max_voxels: int = setting(
        10_000_000,
        "Largest grid on which a scan is drawn. Time and memory grow with it, and scans with thin slices show more.",
        "voxels",
        ge=2_000_000,
        le=500_000_000,
    )

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> "AcquisitionSettings":
        for name in ("slice_thickness_mm", "pixel_mm", "field_of_view_mm", "noise_hu"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                raise ValueError(f"min_{name} ({low:g}) must not be above max_{name} ({high:g})")
        return self
