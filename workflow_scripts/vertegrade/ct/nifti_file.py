"""NIfTI files by their content, whatever their name: plain ones named .nii.gz, packed ones named .nii, .NII.GZ."""

import gzip
import re
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
from nibabel.filebasedimages import ImageFileError
from nibabel.fileholders import FileHolder
from nibabel.wrapstruct import WrapStructError

NIFTI_NAME = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
GZIP, NIFTI_2 = b"\x1f\x8b", (540).to_bytes(4, "little")


def open_unpacked(path: str | Path) -> BinaryIO:
    """The content of a file at its start, unpacked where it is a gzip by its first bytes."""
    return cast(BinaryIO, gzip.open(path)) if _is_gzip(path) else open(path, "rb")


def load_nifti(path: str | Path) -> Any:
    """The image by its header, as nibabel loads it; nibabel itself looks at the name alone."""
    if str(path).endswith(".nii.gz" if _is_gzip(path) else ".nii"):
        return nib.load(path)
    stream = open_unpacked(path)
    try:
        kind = nib.Nifti2Image if stream.read(4) in (NIFTI_2, NIFTI_2[::-1]) else nib.Nifti1Image
        return kind.from_file_map({"image": FileHolder(fileobj=stream)})
    except Exception as error:
        stream.close()
        if isinstance(error, WrapStructError):
            raise ImageFileError(f"{path}: shorter than a NIfTI header") from error
        raise


def _is_gzip(path: str | Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == GZIP
