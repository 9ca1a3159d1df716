"""A small protocol to change one thing of, and quick anatomies for it."""

from dataclasses import replace
from typing import Any

import numpy as np

from vertegrade.phantom.scanner.protocol import EXPLICIT_LITTLE_ENDIAN, Protocol
from vertegrade.phantom.scanner.vendors import SCANNERS, Kernel

SOFT, SHARP = Kernel("soft", 0.0), Kernel("sharp", 1.0)


def protocol(**changes: Any) -> Protocol:
    """24 x 24 x 5 voxels of 0.9 x 0.9 x 1.2 mm on a Siemens scanner without noise or calibration error."""
    standard = Protocol(
        scan_id="ph0001-1",
        levels=(20, 21, 22, 23, 24),
        origin_mm=(-20.125, 31.5, -210.35),
        shape=(24, 24, 5),
        pixel_mm=0.9,
        slice_spacing_mm=1.2,
        slice_thickness_mm=1.5,
        fine_step_mm=0.6,
        scanner=SCANNERS[2],
        kernel=Kernel("B30f", 0.2),
        kvp=120,
        tube_current_ma=200,
        noise_sd_hu=0.0,
        hu_offset=0.0,
        hu_slope=1.0,
        metal=(),
        patient_position="HFS",
        transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
        centroid_axes="PIR",
    )
    return replace(standard, **changes)


def water(scan: Protocol) -> np.ndarray:
    """Water everywhere, on the protocol's fine grid."""
    return np.zeros(scan.fine_shape, np.float32)


def every_hu(scan: Protocol) -> np.ndarray:
    """Delivered HU that climb from the lowest to the highest that the scanner can store, voxel by voxel."""
    return np.linspace(scan.scanner.lowest_hu, 3071, np.prod(scan.shape)).astype(np.int16).reshape(scan.shape)
