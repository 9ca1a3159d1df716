"""Six-point annotations of MosMed's CTLungCa-500 (github.com/neuro-ml/anchor-free-genant, CC BY-NC 4.0).

One JSON a series: {"SeriesInstanceUID": ..., "Annotation": {expert: [vertebra, ...]}} with vertebrae
{"segments": [[p, p], [p, p], [p, p]], "type": "Th8"}.
A point counts voxels of the image as its authors load it (their utils.py): (row, column, slice) of the DICOM pixel
arrays stacked by increasing InstanceNumber. In these axial series a row runs from front to back, a column from the
patient's right to left, and slices from head to feet unless the geometry of the series says otherwise.

`to_mm` therefore needs the affine of that stack (columns: one step along a row index, a column index and a slice
index, in RAS mm): `stacked_affine` makes it from the DICOM headers, in the order that the authors used.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertegrade.ct.volume import voxel_to_mm
from vertegrade.levels import LABELS

Floats = NDArray[np.float64]


class MosmedError(ValueError):
    """An annotation that cannot be read; the message names the file, the expert and the vertebra."""


@dataclass(frozen=True, eq=False)
class Reading:
    """One vertebra as one expert read it. voxels: (6, 3) as (row, column, slice), in the order of tables.POINTS."""

    series_uid: str
    expert: str
    vertebra: int
    voxels: Floats


def read_annotations(path: str | Path) -> list[Reading]:
    """All readings of all experts of a JSON file, or of all JSON files in a folder or zip, in the order of file names.

    MosmedError: unreadable, another structure, an unknown vertebra, or a vertebra twice by one expert.
    """
    return [reading for name, text in _texts(Path(path)) for reading in _readings(name, text)]


def _texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the JSON files."""
    try:
        if path.is_dir():
            yield from ((str(file), file.read_bytes()) for file in sorted(path.glob("*.json")))
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in sorted(name for name in archive.namelist() if name.endswith(".json")):
                    yield f"{path}/{name}", archive.read(name)
        else:
            yield str(path), path.read_bytes()
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise MosmedError(f"{path}: cannot be read ({error})") from error


def _readings(name: str, text: bytes) -> list[Reading]:
    """The readings of one file."""
    try:
        content = json.loads(text)
        uid, experts = str(content["SeriesInstanceUID"]), dict(content["Annotation"])
    except (ValueError, KeyError, TypeError) as error:
        raise MosmedError(
            f"{name}: not a MosMed annotation ({type(error).__name__}: {error}); expected an object with "
            "SeriesInstanceUID and Annotation"
        ) from error
    readings = []
    for expert, vertebrae in experts.items():
        if not isinstance(vertebrae, list):
            raise MosmedError(f"{name}: {expert} has no list of vertebrae")
        seen: set[int] = set()
        for number, vertebra in enumerate(vertebrae):
            where = f"{name}: {expert}, vertebra {number + 1}"
            reading = Reading(uid, expert, _label(vertebra, where), _voxels(vertebra, where))
            if reading.vertebra in seen:
                raise MosmedError(f"{where}: {vertebra['type']} stands twice")
            seen.add(reading.vertebra)
            readings.append(reading)
    return readings


def _label(vertebra: Any, where: str) -> int:
    """VerSe label of a type such as Th8."""
    name = vertebra.get("type") if isinstance(vertebra, dict) else None
    label = LABELS.get(str(name).replace("Th", "T"))
    if label is None:
        raise MosmedError(f"{where}: type {name!r} is no vertebra such as Th8 or L1")
    return label


def _voxels(vertebra: dict[str, Any], where: str) -> Floats:
    """Points (6, 3) from three segments: from front to back, each from head to feet (rows and slices as stacked)."""
    try:
        segments = np.array(vertebra["segments"], dtype=np.float64)
    except (KeyError, ValueError, TypeError) as error:
        raise MosmedError(f"{where}: no segments of plain numbers ({type(error).__name__}: {error})") from error
    if segments.shape != (3, 2, 3) or not np.isfinite(segments).all():
        raise MosmedError(f"{where}: segments must be 3 pairs of points of 3 finite numbers, not {segments.shape}")
    segments = segments[np.argsort(segments[:, :, 0].mean(axis=1), kind="stable")]
    ends = np.argsort(segments[:, :, 2], axis=1, kind="stable")
    return np.take_along_axis(segments, ends[:, :, None], axis=1).reshape(6, 3)


def stacked_affine(
    orientation: Floats, first: Floats, last: Floats, count: int, spacing: tuple[float, float]
) -> Floats:
    """Affine (4, 4) from (row, column, slice) of the stack to RAS mm.

    From the DICOM headers, as they stand there (LPS): orientation: (6,) ImageOrientationPatient; first, last: (3,)
    ImagePositionPatient of the slices with the lowest and the highest InstanceNumber; count: number of slices;
    spacing: PixelSpacing (between rows, between columns), mm.
    """
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(orientation[3:]) * spacing[0]
    affine[:3, 1] = np.asarray(orientation[:3]) * spacing[1]
    affine[:3, 2] = (np.asarray(last) - first) / (count - 1)
    affine[:3, 3] = first
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def to_mm(reading: Reading, affine: Floats) -> Floats:
    """Points (6, 3) in RAS mm, in the order of tables.POINTS, whichever way the slices are stacked.

    affine: from (row, column, slice) to RAS mm (`stacked_affine`).
    """
    points = voxel_to_mm(affine, reading.voxels).reshape(3, 2, 3)
    if points[:, 0, 2].mean() < points[:, 1, 2].mean():
        points = points[:, ::-1]
    if points[0, :, 1].mean() < points[2, :, 1].mean():
        points = points[::-1]
    return points.reshape(6, 3)


def heights(points_mm: Floats) -> Floats:
    """Anterior, middle and posterior height (3,) of six points (6, 3), mm or voxels alike."""
    return np.linalg.norm(points_mm[0::2] - points_mm[1::2], axis=1)
