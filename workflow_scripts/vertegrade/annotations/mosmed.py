"""Six-point annotations of MosMed's CTLungCa-500 (github.com/neuro-ml/anchor-free-genant, CC BY-NC 4.0).

One JSON per series: {"SeriesInstanceUID": ..., "Annotation": {expert: [vertebra, ...]}} with vertebrae
{"segments": [[p, p], [p, p], [p, p]], "type": "Th8"}.

A point counts voxels of the image as its authors load it (their utils.py): (row, column, slice) of the DICOM pixel
arrays stacked by increasing InstanceNumber. In axial series a row's index runs from front to back and a column's from
the patient's right to left (AXIAL). Slices run from feet to head in all 269 readings of the archive. The levels of a
file show which way they run in its series, so neither InstanceNumber nor the DICOM files are needed.
"""

import json
import logging
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vertegrade.annotations.verse import AXIS_OF_CODE
from vertegrade.arrays import Floats
from vertegrade.ct.volume import voxel_to_mm
from vertegrade.level_texts import parse_level
from vertegrade.levels import NAMES, craniocaudal_rank

AXIAL = "LP"
APART_MM = 10.0
LOG = logging.getLogger(__name__)


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

    A vertebra with a point that is not known (NaN) is left out, with a warning.
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
    except (OSError, zipfile.BadZipFile, RuntimeError, zlib.error) as error:
        raise MosmedError(f"{path}: cannot be read ({error})") from error


def _readings(name: str, text: bytes) -> list[Reading]:
    """The readings of one file."""
    try:
        content = json.loads(text)
        uid, experts = str(content["SeriesInstanceUID"]), dict(content["Annotation"])
    except (ValueError, RecursionError, KeyError, TypeError) as error:
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
            if not np.isfinite(reading.voxels).all():
                LOG.warning("%s: a point is not known; the vertebra is left out", where)
                continue
            if reading.vertebra in seen:
                raise MosmedError(f"{where}: {vertebra['type']} is listed twice")
            seen.add(reading.vertebra)
            readings.append(reading)
    return readings


def _label(vertebra: Any, where: str) -> int:
    """VerSe label of a type such as Th8."""
    name = vertebra.get("type") if isinstance(vertebra, dict) else None
    label = parse_level(name) if isinstance(name, str) and name[:1].isalpha() else None
    if label is None:
        raise MosmedError(f"{where}: type {name!r} is no vertebra such as Th8 or L1")
    return label


def _voxels(vertebra: dict[str, Any], where: str) -> Floats:
    """Points (6, 3) from three segments: from front to back, each from head to feet (rows and slices as stacked).

    They may be NaN: not known.
    """
    try:
        segments = np.array(vertebra["segments"], dtype=np.float64)
    except (KeyError, ValueError, OverflowError, TypeError) as error:
        raise MosmedError(f"{where}: no segments of plain numbers ({type(error).__name__}: {error})") from error
    if segments.shape != (3, 2, 3):
        raise MosmedError(f"{where}: segments must be 3 pairs of points of 3 numbers, not {segments.shape}")
    segments = segments[np.argsort(segments[:, :, 0].mean(axis=1), kind="stable")]
    ends = np.argsort(segments[:, :, 2], axis=1, kind="stable")
    return np.take_along_axis(segments, ends[:, :, None], axis=1).reshape(6, 3)


def agreed_points(path: str | Path, shape: tuple[int, ...], affine: Floats, axcodes: str) -> dict[int, Floats]:
    """Six points (6, 3), RAS mm, in the order of tables.POINTS, of each vertebra of one series: the experts' median.

    shape, affine: of the canonical volume (RAS+) that the series became. axcodes: see `stack_affine`.
    A vertebra that its experts put more than APART_MM apart is left out: they mean different ones.
    MosmedError: as for `read_annotations`; several series; an order or a series that is not as this module says.
    """
    readings = read_annotations(path)
    if len({reading.series_uid for reading in readings}) != 1:
        raise MosmedError(f"{path}: contains no vertebra or more than one series; name the JSON of this scan alone")
    columns, rows = (AXIS_OF_CODE[code][0] for code in axcodes)
    if {columns, rows} != {0, 1}:
        raise MosmedError(f"{path}: points of axial series alone can be read, but the scan's slices run {axcodes}")
    size = [shape[rows], shape[columns], shape[2]]
    stack = stack_affine(shape, affine, axcodes, _head_first(readings, path))
    found: dict[int, list[Floats]] = {}
    for reading in readings:
        if ((reading.voxels < -0.5) | (reading.voxels > np.array(size) - 0.5)).any():
            raise MosmedError(
                f"{path}: {reading.expert}, {NAMES[reading.vertebra]}: a point lies outside the scan's {size} rows, "
                "columns and slices; the file belongs to another image"
            )
        found.setdefault(reading.vertebra, []).append(to_mm(reading, stack))
    agreed = {}
    for vertebra, points in found.items():
        centres = np.mean(points, axis=1)
        if np.linalg.norm(centres[:, None] - centres, axis=2).max() <= APART_MM:
            agreed[vertebra] = np.median(points, axis=0)
    return agreed


def _head_first(readings: list[Reading], path: str | Path) -> bool:
    """Whether slices count from the head down. The levels show it; no file says how InstanceNumber ran."""
    slices: dict[int, list[float]] = {}
    for reading in readings:
        slices.setdefault(reading.vertebra, []).append(float(reading.voxels[:, 2].mean()))
    order = sorted(slices, key=craniocaudal_rank)
    steps = np.diff([np.median(slices[vertebra]) for vertebra in order])
    if len(order) < 2:
        raise MosmedError(f"{path}: one vertebra does not show which way the slices count; mark its neighbour too")
    if not ((steps > 0).all() or (steps < 0).all()):
        odd = int(np.flatnonzero(steps * np.sign(np.median(steps)) <= 0)[0])
        raise MosmedError(
            f"{path}: {NAMES[order[odd]]} and {NAMES[order[odd + 1]]} are not in the order of the slices, as the other "
            "vertebrae are; correct their types or points"
        )
    return bool(steps[0] > 0)


def stack_affine(shape: tuple[int, ...], affine: Floats, axcodes: str, head_first: bool) -> Floats:
    """Affine (4, 4) from (row, column, slice) of an axial stack to RAS mm.

    shape, affine: of the canonical volume (RAS+) that the stack became. axcodes: where the columns' and the rows' index
    runs, AXIAL or the first two letters of the converted scan's `source_axcodes`. head_first: slice 0 is the topmost.
    """
    stack = np.eye(4)
    stack[:3, 3] = affine[:3, 3]
    for n, code in enumerate((axcodes[1], axcodes[0], "I" if head_first else "S")):
        axis, sign = AXIS_OF_CODE[code]
        stack[:3, n] = sign * affine[:3, axis]
        if sign < 0:
            stack[:3, 3] += (shape[axis] - 1) * affine[:3, axis]
    return stack


def to_mm(reading: Reading, affine: Floats) -> Floats:
    """Points (6, 3) in RAS mm, in the order of tables.POINTS, whichever way the slices are stacked.

    affine: from (row, column, slice) to RAS mm (`stack_affine`).
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
