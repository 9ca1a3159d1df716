"""Heights of intact vertebrae from a cohort's own training split, robustly: most training vertebrae are intact.

The logarithms are level + patient + own deviation, for the two ratios and the posterior height each (DEVIATIONS).
Levels and patients are medians in turn (Tukey's median polish), so patients who were seen at other levels than others
may be larger or smaller, and each patient counts once at a level. Vertebrae labelled as fractured never count, those
labelled intact always, those without a label while they have lost no more than a neighbour may
(normal_ratios.REDUCED_LOSS). Nobody of the validation or test split counts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.arrays import Floats
from vertegrade.cohort.splits import in_split
from vertegrade.spine.indices import known_sds, measured
from vertegrade.spine.intact_heights import DEVIATIONS, IntactHeights, content_of, published
from vertegrade.spine.normal_ratios import REDUCED_LOSS, START_QUANTILE
from vertegrade.tables import KEY, doubt_of

# Fewer training patients, or vertebrae of one, say too little: a level's median would be that of a few people.
MIN_PATIENTS, MIN_VERTEBRAE = 10, 3
# At a level: fewer people are no statistics of it, and the nearest level says more.
MIN_AT_LEVEL = 3
# A vertebra whose level is less certain counts at no level.
SURE_LEVEL = 0.5
# A level counts as much as what its neighbours predict when it has so many patients. Between levels the statistics
# bend by about 2.5 %, and one patient's vertebra deviates by about 5 %.
NEIGHBOURS_WORTH = 4.0
# Standard deviation in levels of the neighbourhood that predicts a level, by a straight line.
NEAR_LEVELS = 1.0
TURNS = 12
GROUPS = 20  # of patients, each left out once for the standard errors (jackknife)
ONE_SD = [0.1587, 0.8413]  # quantiles of a normal distribution, one standard deviation off
# No population and no spine is more uniform than this: guards against heights whose errors were thought too large.
LEAST_SD = 0.01
ERRORS = [f"{name}_error" for name in DEVIATIONS]


@dataclass(frozen=True)
class _Cells:
    """Training patients by levels. labels (L,). x, error: DEVIATIONS (P, L, 3) and the variances of their errors, NaN
    where a vertebra is not there. intact (P, L): labelled so."""

    labels: NDArray[np.int64]
    x: Floats
    error: Floats
    intact: NDArray[np.bool_]


def fit_intact_heights(landmarks: pd.DataFrame, splits: pd.DataFrame, labels: pd.DataFrame | None) -> dict[str, Any]:
    """Content of heights/intact_heights.json: fitted to the training split, or published where that has too few.

    landmarks: LANDMARKS of all scans. splits: PATIENT_SPLITS. labels: LABELS, None where there are none.
    """
    cells = _training_cells(landmarks, splits, labels)
    at_level = (~np.isnan(cells.x[:, :, 0])).sum(axis=0)
    if len(cells.x) >= MIN_PATIENTS and (at_level >= MIN_AT_LEVEL).any():
        return _fitted(cells)
    why = (
        f"as {len(cells.x)} training patients have {MIN_VERTEBRAE} or more vertebrae with six points that are not "
        f"labelled as fractured; {MIN_PATIENTS} are needed, and {MIN_AT_LEVEL} at one level"
    )
    return content_of(published(), why)


def _training_cells(landmarks: pd.DataFrame, splits: pd.DataFrame, labels: pd.DataFrame | None) -> _Cells:
    """The vertebrae of the training split that are not labelled as fractured, of patients who have some of them.

    Repeated scans of a patient are averaged. A vertebra that is labelled as fractured in one of them is left out.
    """
    found = measured(landmarks)
    confidence = doubt_of(found.rows)["label_confidence"].fillna(1.0).to_numpy(np.float64)
    known = found.rows["vertebra"].isin(published().heights_mm).to_numpy()
    use = found.usable & known & (confidence >= SURE_LEVEL) & in_split(splits, found.rows["patient_id"], "train")
    rows, heights = found.rows.loc[use, ["patient_id", *KEY]].copy(), found.heights[use]
    grade = np.full(len(rows), np.nan)
    if labels is not None:
        usable = labels.loc[labels["usable"], [*KEY, "genant_grade"]]
        grade = rows[KEY].merge(usable, on=KEY, how="left")["genant_grade"].to_numpy(np.float64)
    posterior, error = np.log(heights[:, 2:]), (known_sds(found.sds[use]) / heights) ** 2
    rows[DEVIATIONS] = np.column_stack([np.log(heights[:, :2]) - posterior, posterior])
    rows[ERRORS] = np.column_stack([error[:, :2] + error[:, 2:], error[:, 2]])
    rows["fractured"], rows["intact"] = grade > 0, grade == 0
    by_level = rows.groupby(["patient_id", "vertebra"])
    table = by_level[[*DEVIATIONS, *ERRORS]].mean()
    table["intact"] = by_level["intact"].all()
    table = table[~by_level["fractured"].any()]
    table = table[table.groupby("patient_id")["intact"].transform("size") >= MIN_VERTEBRAE]
    person, level = (table.index.get_level_values(name) for name in ("patient_id", "vertebra"))
    names, labelled = np.unique(person.to_numpy(str)), np.unique(level.to_numpy(np.int64))
    place = np.searchsorted(names, person.to_numpy(str)), np.searchsorted(labelled, level.to_numpy(np.int64))
    shape = len(names), len(labelled)
    cells = _Cells(labelled, np.full((*shape, 3), np.nan), np.full((*shape, 3), np.nan), np.zeros(shape, dtype=bool))
    cells.x[place], cells.error[place] = table[DEVIATIONS].to_numpy(), table[ERRORS].to_numpy()
    cells.intact[place] = table["intact"].to_numpy(bool)
    return cells


def _fitted(cells: _Cells) -> dict[str, Any]:
    levels, people, sound = _polish(cells.x, cells.intact)
    patients = sound.sum(axis=0)
    heights = _all_levels(_with_neighbours(cells.labels, levels, patients))
    left = (cells.x - levels - people[:, None])[sound]
    error = cells.error[sound].mean(axis=0)
    free = max(len(left) - len(people) - len(levels), 1) / len(left)
    own = np.maximum(_variance(left) / free - error, LEAST_SD**2)
    person = np.maximum(_between(np.where(sound[:, :, None], cells.x - levels, np.nan)), LEAST_SD**2)
    counts = dict(zip(cells.labels.tolist(), patients.tolist(), strict=True))
    fitted = [label for label, count in counts.items() if count >= MIN_AT_LEVEL]
    return content_of(
        IntactHeights({label: np.exp(three) for label, three in heights.items()}, np.sqrt(person), np.sqrt(own)),
        patients=counts,
        errors=_errors(cells, heights, fitted),
        counts=(int(sound.any(axis=1).sum()), int(sound.sum())),
    )


def _polish(x: Floats, intact: NDArray[np.bool_]) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """DEVIATIONS of levels (L, 3) and of patients (P, 3), whose median is 0, and which cells (P, L) are sound."""
    levels = _quantile(x, 0, START_QUANTILE)
    people = _quantile(x - levels, 1, START_QUANTILE)
    sound = ~np.isnan(x[:, :, 0])
    for _ in range(TURNS):
        loss = 1 - np.exp(_log_heights(x - levels - people[:, None])).min(axis=-1)
        sound = (intact | (loss < REDUCED_LOSS)) & ~np.isnan(x[:, :, 0])
        used = np.where(sound[:, :, None], x, np.nan)
        people = _known(_quantile(used - levels, 1), people)
        people = people - _quantile(people, 0)
        levels = _known(_quantile(used - people[:, None], 0), levels)
    return levels, people, sound


def _known(now: Floats, before: Floats) -> Floats:
    """What is known now, and what was where nothing is left to know it by."""
    return np.where(np.isnan(now), before, now)


def _quantile(values: Floats, axis: int, share: float = 0.5) -> Floats:
    """Quantile along an axis of what is not NaN; NaN where nothing is. Many times as fast as numpy's."""
    ordered = np.sort(values, axis=axis)  # NaN last
    place = share * np.maximum((~np.isnan(values)).sum(axis=axis, keepdims=True) - 1, 0)
    low, high = (np.take_along_axis(ordered, end(place).astype(np.int64), axis) for end in (np.floor, np.ceil))
    return (low + (high - low) * (place - np.floor(place))).squeeze(axis)


def _log_heights(deviations: Floats) -> Floats:
    """Logarithms of anterior, middle and posterior height of DEVIATIONS, both (..., 3)."""
    size = deviations[..., 2:]
    return np.concatenate([deviations[..., :2] + size, size], axis=-1)


def _variance(values: Floats) -> Floats:
    """Robust variance (3,) of columns (N, 3)."""
    low, high = np.quantile(values, ONE_SD, axis=0)
    return ((high - low) / 2) ** 2


def _between(off: Floats) -> Floats:
    """Robust variance (3,) between people of deviations from the levels (P, L, 3), NaN where not known: the covariance
    of what every second level says with what the others say, in which errors and single vertebrae cancel."""
    one, other = (_quantile(off[:, start::2], 1) for start in (0, 1))
    both = ~np.isnan(one + other).any(axis=1)
    if not both.any():
        return np.zeros(3)
    return (_variance((one + other)[both]) - _variance((one - other)[both])) / 4


def _with_neighbours(labels: NDArray[np.int64], levels: Floats, patients: NDArray[np.int64]) -> dict[int, Floats]:
    """Log heights (3,) by level, each drawn to what a straight line through its neighbours says, the more the fewer
    patients it has. With fewer than two neighbours it stays as it is. Levels of fewer than MIN_AT_LEVEL are left out.
    """
    many = patients >= MIN_AT_LEVEL
    places, values, counts = labels[many].astype(np.float64), _log_heights(levels[many]), patients[many]
    drawn = {}
    for place, own, count in zip(places, values, counts, strict=True):
        weight = counts * np.exp(-0.5 * ((places - place) / NEAR_LEVELS) ** 2) * (places != place)
        line = own
        if (weight > 0).sum() >= 2:
            line = np.polyfit(places - place, values, 1, w=np.sqrt(weight))[1]
        drawn[int(place)] = (count * own + NEIGHBOURS_WORTH * line) / (count + NEIGHBOURS_WORTH)
    return drawn


def _all_levels(fitted: dict[int, Floats]) -> dict[int, Floats]:
    """Log heights (3,) of all levels: where none were fitted, the published ones, as far off as at the nearest.

    All of them where none were fitted at all.
    """
    known = {label: np.log(three) for label, three in published().heights_mm.items()}
    if not fitted:
        return known
    nearest = {label: min(fitted, key=lambda other: (abs(other - label), other)) for label in known}
    return {
        label: fitted.get(label, three + fitted[nearest[label]] - known[nearest[label]])
        for label, three in known.items()
    }


def _errors(cells: _Cells, heights: dict[int, Floats], labels: list[int]) -> dict[int, Floats]:
    """Standard errors (3,) of these levels' log heights: patients are left out in turn, group by group (jackknife)."""
    group = np.arange(len(cells.x)) % GROUPS
    off = []
    for number in np.unique(group):
        rest = group != number
        levels, _, sound = _polish(cells.x[rest], cells.intact[rest])
        less = _all_levels(_with_neighbours(cells.labels, levels, sound.sum(axis=0)))
        off.append([less[label] - heights[label] for label in labels])
    errors = np.sqrt((len(off) - 1) / len(off) * np.square(off).sum(axis=0))
    return dict(zip(labels, errors, strict=True))
