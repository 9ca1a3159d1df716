"""A user's scan as training material: its bodies as six points, a vertebra mask or centroids alone know them."""

import numpy as np
import pandas as pd

from vertegrade.annotations.masks import body_centres, boxes_of
from vertegrade.annotations.mosmed import MosmedError, agreed_points
from vertegrade.annotations.tools import given_mask
from vertegrade.annotations.verse import read_centroids
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.levels import craniocaudal_rank
from vertegrade.localizer.detector.network import NETWORK_LEVELS
from vertegrade.reasons import Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.landmarks import implausible
from vertegrade.spine.morphometry import measure_mask
from vertegrade.tables import CENTRE_COLUMNS, POINT_COLUMNS, POINTS, centres_of, points_of

BEYOND_MM = 4.0
# The gaps by default: what a user allows where landmarks are given is not to change what is learnt.
DEFAULT = LocalizeSettings()
UNKNOWN = np.full((len(POINTS), 3), np.nan)


def own_scan(
    row: ScanRow, volume: Volume, axcodes: str, settings: LocalizeSettings = DEFAULT
) -> tuple[Volume, pd.DataFrame]:
    """The slices of the longest run of neighbouring known bodies, and these bodies, as the networks' samples need them.

    axcodes: where columns and rows of the scan's pixel arrays run (`mosmed.stack_affine`); only points need it.
    settings: whose labels a mask has.
    The table has vertebra, centre, six points (NaN where unknown) and complete (the points are known). What lies beyond
    the run is cut off, because an annotation may leave vertebrae out: nothing can be learnt there.
    Refused: files that cannot be read or do not fit the scan; `annotation_misfit`: bodies outside the scan or at
    impossible distances; `nothing_to_learn`: fewer than two neighbouring bodies.
    """
    kind, path = row.annotation()
    if kind == "points":
        bodies = _bodies_of_points(path, volume, axcodes)
    elif kind == "mask":
        bodies = _bodies_of_mask(path, volume, settings)
    else:
        centres = read_centroids(path, volume.hu.shape, volume.affine)
        bodies = _table({label: (at, UNKNOWN) for label, at in centres.items() if np.isfinite(at).all()})
    run = _longest_run(_sound(bodies, volume, path))
    if kind != "centroids":
        run = _between_complete(run)
    if len(run) < 2:
        raise Refused("nothing_to_learn", f"{path}: fewer than two neighbouring bodies are known")
    return _cut(volume, run)


def _bodies_of_points(path: str, volume: Volume, axcodes: str) -> pd.DataFrame:
    try:
        points = agreed_points(path, volume.hu.shape, volume.affine, axcodes)
    except MosmedError as error:
        raise Refused("points_unusable", str(error)) from error
    return _table({label: (six.mean(axis=0), six) for label, six in points.items()})


def _bodies_of_mask(path: str, volume: Volume, settings: LocalizeSettings) -> pd.DataFrame:
    """Bodies of a label mask on the scan's grid; their six points are measured on it."""
    labels = given_mask(path, volume, settings)
    boxes, bodies = boxes_of(labels), {}
    for label, body in body_centres(labels, volume.affine, path, volume.hu).items():
        measure = measure_mask(labels, volume.affine, label, boxes)
        known = not (body.reason or measure.reason)
        bodies[label] = (measure.centre_mm, measure.points_mm) if known else (body.centre_mm, UNKNOWN)
    return _table(bodies)


def _table(bodies: dict[int, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """A row per body whose level the networks know, head to feet; of centres (3,) and six points (6, 3), RAS mm."""
    rows = [
        {"vertebra": label, "complete": bool(np.isfinite(points).all())}
        | dict(zip(CENTRE_COLUMNS, centre, strict=True))
        | dict(zip(POINT_COLUMNS, points.ravel(), strict=True))
        for label, (centre, points) in sorted(bodies.items(), key=lambda item: craniocaudal_rank(item[0]))
        if label in NETWORK_LEVELS
    ]
    return pd.DataFrame(rows, columns=["vertebra", "complete", *CENTRE_COLUMNS, *POINT_COLUMNS])


def _sound(bodies: pd.DataFrame, volume: Volume, path: str) -> pd.DataFrame:
    """The bodies that lie in the scan at plausible distances; Refused where that leaves fewer than two of several."""
    centres = centres_of(bodies)
    voxels = mm_to_voxel(volume.affine, centres)
    inside = ((voxels > -0.5) & (voxels < np.array(volume.hu.shape) - 0.5)).all(axis=1)
    labels = bodies["vertebra"].to_numpy()
    wrong = implausible(dict(zip(labels[inside], centres[inside], strict=True)), DEFAULT)
    sound = inside & ~np.isin(labels, wrong)
    if sound.sum() < min(2, len(bodies)):
        raise Refused(
            "annotation_misfit",
            f"{path}: {len(bodies)} bodies, of which {int((~inside).sum())} lie outside the scan and "
            f"{int((inside & ~sound).sum())} at impossible distances; the file belongs to another image, or its "
            "levels or orientation are wrong",
        )
    return bodies[sound]


def _longest_run(bodies: pd.DataFrame) -> pd.DataFrame:
    """The longest run (the upper one of equals) without a level left out: where one is, a body may be unmarked."""
    ranks = bodies["vertebra"].map(craniocaudal_rank)
    runs = (ranks.diff() > 1).cumsum()
    return bodies[runs == runs.value_counts(sort=False).sort_index().idxmax()] if len(bodies) else bodies


def _between_complete(run: pd.DataFrame) -> pd.DataFrame:
    """The bodies from the first to the last whose points are known, which say where the scan is to be cut."""
    known = np.flatnonzero(run["complete"])
    return run.iloc[known[0] : known[-1] + 1] if len(known) else run[:0]


def _cut(volume: Volume, run: pd.DataFrame) -> tuple[Volume, pd.DataFrame]:
    """The slices that show the run: BEYOND_MM beyond its points, or half a step beyond its first and last centre."""
    if run["complete"].any():
        ends, beyond_mm = points_of(run[run["complete"]]).reshape(-1, 3), BEYOND_MM
    else:
        centres = centres_of(run)
        ends, beyond_mm = 1.5 * centres[[0, -1]] - 0.5 * centres[[1, -2]], 0.0
    slices = mm_to_voxel(volume.affine, ends)[:, 2]
    margin = beyond_mm / volume.spacing_mm[2]
    first = max(int(np.floor(slices.min() - margin)), 0)
    last = min(int(np.ceil(slices.max() + margin)), volume.hu.shape[2] - 1)
    affine = volume.affine.copy()
    affine[:3, 3] += first * affine[:3, 2]
    return Volume(np.ascontiguousarray(volume.hu[:, :, first : last + 1]), affine), run.reset_index(drop=True)
