"""The series that a scan was converted from, read again for an export: headers alone, in the order of the stack.

Nothing that is read here goes anywhere but into the export. Messages name no value of a header.
"""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.archive import open_source
from vertegrade.ct.dicom import quiet_reading
from vertegrade.ct.headers import read_series
from vertegrade.ct.nifti_file import NIFTI_NAME
from vertegrade.ct.slices import forget_kept
from vertegrade.ct.stack import build_stack
from vertegrade.export.bodies import Planes
from vertegrade.export.header import NEEDED, reduced
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.ct import CtSettings


class NotExported(Exception):
    """A scan of which no DICOM is written; the message says why and contains nothing of a header."""


@dataclass(frozen=True, eq=False)
class Source(Planes):
    """A CT series.

    images: datasets without pixels, one per slice from the lowest position on, or one multi-frame image. frames: for
    each slice its image and frame number (0 in a single-frame image). changed: tags that had to change, and how.
    """

    images: list[Dataset]
    frames: list[tuple[int, int]]
    changed: tuple[str, ...]

    @property
    def first(self) -> Dataset:
        """The image whose patient and study the export copies."""
        return self.images[0]


def read_source(row: ScanRow, settings: CtSettings) -> Source:
    """The series of a row of the sample sheet, chosen and ordered as conversion does; NotExported where there is none.

    Patient and study tags that DICOM does not allow as they are become legal, or empty.
    """
    path = Path(row.path)
    if NIFTI_NAME.search(path.name):
        raise NotExported("a NIfTI: it has no study to which an export could belong")
    try:
        with silent(), open_source(path, settings.max_files) as files:
            stack = build_stack(read_series(files, settings, Notes(), row.series), settings, Notes())
            places: dict[str, int] = {}
            images: list[Dataset] = []
            for item in stack.slices:
                if item.file.name not in places:
                    places[item.file.name] = len(images)
                    with item.file.open() as stream:
                        images.append(pydicom.dcmread(stream, stop_before_pixels=True))
    except Refused as refused:
        raise NotExported(f"the series cannot be read again: {refused.reason}") from None
    finally:
        forget_kept()
    _require(images)
    kept = [reduced(image) for image in images]
    orientation = stack.slices[0].numbers("ImageOrientationPatient", 6)
    return Source(
        images=[image for image, _ in kept],
        frames=[(places[item.file.name], item.frame or 0) for item in stack.slices],
        origins=np.array([item.numbers("ImagePositionPatient", 3) for item in stack.slices]),
        row=orientation[:3],
        column=orientation[3:],
        spacing=stack.slices[0].numbers("PixelSpacing", 2),
        changed=tuple(dict.fromkeys(how for _, changed in kept for how in changed)),
        shape=(int(stack.slices[0].numbers("Rows", 1)[0]), int(stack.slices[0].numbers("Columns", 1)[0])),
    )


def _require(images: list[Dataset]) -> None:
    """The UIDs by which an export refers to its source are there, and say that it is one series."""
    for tag in NEEDED:
        if any(isinstance(image.get(tag), MultiValue) for image in images):
            raise NotExported(f"{tag} has several values in the source: nothing could refer to it")
        values = [str(image.get(tag) or "") for image in images]
        if not all(values):
            raise NotExported(f"{tag} is missing in the source: nothing could refer to it")
        if tag != "SOPInstanceUID" and len(set(values)) > 1:
            raise NotExported(f"{tag} differs within the source, as some anonymisers write it")
        if tag == "SOPInstanceUID" and len(set(values)) < len(values):
            raise NotExported(f"{tag} of two slices is the same")


@contextmanager
def silent() -> Iterator[None]:
    """No message of pydicom or highdicom: these quote the values that they complain of, and those may be names."""
    logger = logging.getLogger("highdicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with quiet_reading():
            yield
    finally:
        logger.setLevel(level)


def place_of(error: Exception) -> str:
    """Type and place of an error; never its text, which may quote a header."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
