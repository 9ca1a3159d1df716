"""How the memory of a conversion grows with its volume: docs/results/benchmarks.md has the figures of real series."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helpers.enhanced import write_enhanced
from helpers.series import positions, write_series

SLICES = (32, 160)  # of 128 KiB: volumes of 4 and 20 MiB
SLICE_MIB = 256 * 256 * 2 / 2**20
TESTS = Path(__file__).parents[1]


def noise(slices: int) -> np.ndarray:
    """HU, int16 (slices, 256, 256)."""
    slab = np.random.default_rng(0).integers(-1000, 1200, (4, 256, 256)).astype(np.int16)
    return np.tile(slab, (slices // 4, 1, 1))


def write(kind: str, slices: int, folder: Path) -> Path:
    """A scan that is read slice by slice or frame by frame, resampled for a wider gap in the middle, or NIfTI."""
    if kind == "nifti":
        image = nib.Nifti1Image(noise(slices).T.astype(np.float32), np.diag([0.7, 0.9, 1.5, 1]))
        nib.save(image, folder.with_suffix(".nii"))
        return folder.with_suffix(".nii")
    places = positions(slices)
    if kind == "resampled":
        places[slices // 2 :, 2] += 0.5
    return (write_enhanced if kind == "multi-frame" else write_series)(folder, noise(slices), places=places)


@pytest.mark.parametrize("kind", ["slices", "multi-frame", "resampled", "nifti"])
def test_memory_grows_with_one_copy_of_the_volume(kind: str, tmp_path: Path) -> None:
    folders = [str(write(kind, slices, tmp_path / str(slices))) for slices in SLICES]
    code = f"from helpers.memory import print_peaks; print_peaks({folders!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=TESTS, capture_output=True, text=True, check=True)
    (first, small), (second, large) = (line.split() for line in done.stdout.splitlines())
    assert (first, second) == ("done", "done")
    growth = (float(large) - float(small)) / ((SLICES[1] - SLICES[0]) * SLICE_MIB)
    assert 1 <= growth < 1.7  # 1.2 measured; a second copy of the pixels would make it more than 2
