"""NIfTI files with the header that a test asks for."""

from pathlib import Path

import nibabel as nib
import numpy as np

# VerSe stores P, I, R: i runs to posterior, j to the feet, k to the right.
PIR = np.array([[0, 0, 2.0, -20.0], [-0.7, 0, 0, 15.0], [0, -0.7, 0, 300.0], [0, 0, 0, 1]])


def write_nifti(path: Path, data: np.ndarray, affine: np.ndarray = PIR, codes: tuple[int, int] = (1, 1)) -> Path:
    """A NIfTI with the same qform and sform; codes: (qform, sform)."""
    image = nib.Nifti1Image(data, None)
    image.set_sform(affine, codes[1])
    image.set_qform(affine, codes[0])
    image.to_filename(path)
    return path
