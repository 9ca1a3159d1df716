"""Centroids of vertebral bodies as VerSe, SPINEPS and TPTBox write them (JSON), to RAS millimetres.

VerSe (anjany/verse; `..._seg-subreg_ctd.json` and `..._seg-vb_ctd.json` contain the same): a list whose first element
is {"direction": [axis codes]}, then {"label", "X", "Y", "Z"}: voxels of the scan once it is turned to those axis
codes, not of the file on disk. TPTBox adds "shape", "zoom" and "format" to the first element. With format "docker" a
label is 256 * subregion + vertebra (subregion 50 is the body). With format "POI" the second element maps vertebra ->
subregion -> point.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from vertegrade.ct.volume import voxel_to_mm
from vertegrade.levels import LABEL_OF, NAMES
from vertegrade.reasons import Refused

SACRUM_AND_COCCYX = (26, 27)
LOWER_SACRUM = range(29, 34)  # S2-S6 of TPTBox and SPINEPS, whose 26 is S1
SACRAL_NAMES = ("S1", "S2", "S3", "S4", "S5", "S6", "COCC")
BODY = 50
BODY_NAMES = ("50", "Vertebra_Corpus")
AXIS_OF_CODE = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def check_label(label: int, path: str | Path) -> int:
    """The label if VerSe has such a vertebra, else Refused `unknown_label`."""
    if label not in NAMES:
        raise Refused(
            "unknown_label",
            f"{path}: label {label} is no VerSe vertebra (1-7 C1-C7, 8-19 T1-T12, 20-25 L1-L6, 28 T13); translate the "
            "labels first, or set localize.mask_labels where TotalSegmentator made the mask: it counts from L5 upwards",
        )
    return label


def is_disc_or_endplate(label: int) -> bool:
    """Whether SPINEPS calls the disc (100 + the vertebra above) or the endplates (200 + vertebra) by this label."""
    part, vertebra = divmod(label, 100)
    return part in (1, 2) and (vertebra in NAMES or vertebra in SACRUM_AND_COCCYX or vertebra in LOWER_SACRUM)


def read_centroids(path: str | Path, shape: tuple[int, ...], affine: np.ndarray) -> dict[int, np.ndarray]:
    """Body centres in RAS mm, float64 (3,), by VerSe label, from a centroid JSON that belongs to the scan.

    A vertebra whose position the file leaves open (NaN, null) is there with a centre of NaN.
    shape, affine: of the scan's canonical volume (axes i, j, k in RAS+; affine to RAS mm).
    Refused: file unreadable or of another format, made on another grid, unknown or duplicate labels, empty.
    """
    head, points = _parse(path)
    turned = [AXIS_OF_CODE[code] for code in head["direction"]]
    _check_grid(path, head, [shape[axis] for axis, _ in turned], [_spacing(affine, axis) for axis, _ in turned])
    centres: dict[int, np.ndarray] = {}
    for label, point in points:
        if label in SACRUM_AND_COCCYX:
            continue
        if check_label(label, path) in centres:
            raise Refused("duplicate_label", f"{path}: {NAMES[label]} ({label}) is listed twice; keep one centroid")
        voxel = np.zeros(3)
        for (axis, sign), value in zip(turned, point, strict=True):
            voxel[axis] = value if sign > 0 else shape[axis] - 1 - value
        centres[label] = voxel_to_mm(affine, voxel)
    if not centres:
        raise Refused("no_vertebrae", f"{path}: no vertebra (label 1-25 or 28) in the file")
    if not any(np.isfinite(centre).all() for centre in centres.values()):
        raise Refused("centroids_unreadable", f"{path}: no centroid has a position (NaN); write the centroids again")
    return centres


def centroid_labels(path: str | Path) -> set[int]:
    """Labels of a centroid JSON, whatever the scan; Refused `centroids_unreadable` where it is not one."""
    return {label for label, _ in _parse(path)[1]}


def _spacing(affine: np.ndarray, axis: int) -> float:
    return float(np.linalg.norm(affine[:3, axis]))


def _check_grid(path: str | Path, head: dict[str, Any], shape: list[int], spacing: list[float]) -> None:
    """Where the file says for which grid its voxels count, it must be the scan's (after the same turn)."""
    for key, ours, tolerance in (("shape", shape, 0.5), ("zoom", spacing, 0.01)):
        if head.get(key) is None:
            continue
        try:
            given = _point(list(head[key]))
            if not all(map(math.isfinite, given)):
                raise ValueError
        except (TypeError, ValueError, OverflowError) as error:
            raise Refused(
                "centroids_unreadable", f"{path}: {key} is not three finite numbers; convert it to VerSe's JSON"
            ) from error
        if not np.allclose(given, ours, rtol=0, atol=tolerance):
            raise Refused(
                "centroids_other_grid",
                f"{path}: {key} {given} in axes {head['direction']}, but the scan has {np.round(ours, 3).tolist()}; "
                "the centroids belong to another (resampled or cropped) image",
            )


def _parse(path: str | Path) -> tuple[dict[str, Any], list[tuple[int, list[float]]]]:
    """First element of the file, and its body centres as (label, [X, Y, Z])."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        head = content[0]
        _check_direction(path, head)
        points = _points_of_poi(content[1]) if head.get("format") == "POI" else _points_of_list(content[1:])
        sacral = LOWER_SACRUM if "format" in head else ()  # only TPTBox counts further
        return head, [(label, point) for label, point in points if label not in sacral]
    except (OSError, ValueError, OverflowError, RecursionError, TypeError, LookupError, AttributeError) as error:
        raise Refused(
            "centroids_unreadable",
            f"{path}: not a VerSe centroid file ({type(error).__name__}: {error}); expected "
            '[{"direction": ["P", "I", "R"]}, {"label": 20, "X": 1.0, "Y": 2.0, "Z": 3.0}, ...]',
        ) from error


def _check_direction(path: str | Path, head: dict[str, Any]) -> None:
    """Refused where the first element does not say which way the three axes run."""
    direction = head.get("direction")
    if direction is None and "label" in head:
        raise Refused(
            "centroids_unreadable",
            f"{path}: begins with a point instead of the direction of its axes. Files of the MICCAI challenge are like "
            "this, and count millimetres of another grid; give the mask, or the centroids of VerSe's subject-based "
            "release",
        )
    axes = [AXIS_OF_CODE.get(str(code)) for code in direction] if isinstance(direction, list) else []
    if {axis[0] for axis in axes if axis} != {0, 1, 2} or len(axes) != 3:
        raise Refused(
            "centroids_unreadable", f"{path}: direction {direction!r} is not three axis codes such as ['P', 'I', 'R']"
        )


def _points_of_list(entries: list[dict[str, Any]]) -> list[tuple[int, list[float]]]:
    points = []
    for entry in entries:
        number = LABEL_OF[entry["label"]] if entry["label"] in LABEL_OF else _whole(entry["label"])
        subregion, label = divmod(number, 256)
        if subregion in (0, BODY) and not is_disc_or_endplate(number):
            points.append((label, _point([entry["X"], entry["Y"], entry["Z"]])))
    return points


def _points_of_poi(vertebrae: dict[str, dict[str, Any]]) -> list[tuple[int, list[float]]]:
    points = []
    for name, subregions in vertebrae.items():
        body = next((subregions[key] for key in BODY_NAMES if key in subregions), None)
        if body is not None and name not in SACRAL_NAMES:
            points.append((LABEL_OF[name] if name in LABEL_OF else int(name), _point(body)))
    return points


def _whole(value: Any) -> int:
    if isinstance(value, bool) or float(value) != int(value):
        raise ValueError(f"label {value!r} is not a whole number")
    return int(value)


def _point(values: list[Any]) -> list[float]:
    """Three numbers; all are NaN where one of them is not known."""
    point = [math.nan if value is None else float(value) for value in values]
    if len(point) != 3:
        raise ValueError(f"{values!r} is not a point of three numbers")
    return point if all(map(math.isfinite, point)) else [math.nan] * 3
