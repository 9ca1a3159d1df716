"""Heights of intact vertebrae from a cohort's own training split, robustly: most training vertebrae are intact.

The logarithms are level + patient + own deviation, for the two ratios and the posterior height each (DEVIATIONS).
Levels and patients are medians in turn (Tukey's median polish), so patients who were seen at other levels than others
may be larger or smaller, and each patient counts once at a level. Vertebrae labelled as fractured never count, those
labelled intact always, those without a label while they have lost no more than a neighbour may
(normal_ratios.REDUCED_LOSS). Nobody of the validation or test split counts.
"""

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
MAD_TO_SD, MEDIAN_TO_MEAN_VARIANCE = 1.4826, 1.571
# No population and no spine is more uniform than this: guards against heights whose errors were thought too large.
LEAST_SD = 0.01


def fit_intact_heights(landmarks: pd.DataFrame, splits: pd.DataFrame, labels: pd.DataFrame | None) -> dict[str, Any]:
    """Content of heights/intact_heights.json: fitted to the training split, or published where that has too few.

    landmarks: LANDMARKS of all scans. splits: PATIENT_SPLITS. labels: LABELS, None where there are none.
    """
    rows = _training_rows(landmarks, splits, labels)
    patients = rows["patient_id"].nunique()
    if patients < MIN_PATIENTS:
        why = (
            f"as {patients} training patients have {MIN_VERTEBRAE} or more vertebrae with six points that are not "
            f"labelled as fractured, and {MIN_PATIENTS} are needed"
        )
        return content_of(published(), why)
    return _fitted(rows)


def _training_rows(landmarks: pd.DataFrame, splits: pd.DataFrame, labels: pd.DataFrame | None) -> pd.DataFrame:
    """One row per training patient and level: patient_id, vertebra, DEVIATIONS (logarithms), their error variances
    `{name}_error`, intact (labelled so).

    Repeated scans of a patient are averaged. A vertebra that is labelled as fractured in one of them is left out.
    """
    found = measured(landmarks)
    rows, heights = found.rows[["patient_id", *KEY]].copy(), found.heights
    confidence = doubt_of(found.rows)["label_confidence"].fillna(1.0).to_numpy(np.float64)
    known = rows["vertebra"].isin(published().heights_mm).to_numpy()
    use = found.usable & known & (confidence >= SURE_LEVEL) & in_split(splits, rows["patient_id"], "train")
    rows, heights = rows[use], heights[use]
    error = (known_sds(found.sds[use]) / heights) ** 2
    posterior = np.log(heights[:, 2])
    rows[DEVIATIONS] = np.column_stack([np.log(heights[:, :2]) - posterior[:, None], posterior])
    errors = [f"{name}_error" for name in DEVIATIONS]
    rows[errors] = np.column_stack([error[:, :2] + error[:, 2:], error[:, 2]])
    grade = np.full(len(rows), np.nan)
    if labels is not None:
        usable = labels.loc[labels["usable"], [*KEY, "genant_grade"]]
        grade = rows[KEY].merge(usable, on=KEY, how="left")["genant_grade"].to_numpy(np.float64)
    rows["fractured"], rows["intact"] = grade > 0, grade == 0
    by_level = rows.groupby(["patient_id", "vertebra"])
    means = {name: "mean" for name in [*DEVIATIONS, *errors]}
    table = by_level.agg({**means, "fractured": "any", "intact": "all"}).reset_index()
    table = table[~table["fractured"]].drop(columns="fractured")
    many = table.groupby("patient_id")["vertebra"].transform("size") >= MIN_VERTEBRAE
    return table[many].reset_index(drop=True)


def _fitted(rows: pd.DataFrame) -> dict[str, Any]:
    """Content of the file from rows as `_training_rows` makes them."""
    levels, people, sound = _polish(rows)
    used = rows[sound]
    patients = used["vertebra"].value_counts().sort_index()
    left = used[DEVIATIONS] - levels.loc[used["vertebra"]].to_numpy() - people.loc[used["patient_id"]].to_numpy()
    dense = left.to_numpy() * np.sqrt(len(used) / max(len(used) - used["patient_id"].nunique() - len(levels), 1))
    error = used[[f"{name}_error" for name in DEVIATIONS]].to_numpy()
    own = _variance(dense) - error.mean(axis=0)
    own = np.maximum(own, LEAST_SD**2)
    of_person = used["patient_id"].value_counts()
    between = people.loc[of_person.index].to_numpy()
    uncertain = MEDIAN_TO_MEAN_VARIANCE * (own + error.mean(axis=0)) * (1 / of_person).mean()
    person = np.maximum(_variance(between) - uncertain, LEAST_SD**2)
    heights = _all_levels(_with_neighbours(levels, patients))
    fitted = patients.index[patients >= MIN_AT_LEVEL].tolist()
    return content_of(
        IntactHeights({label: np.exp(three) for label, three in heights.items()}, np.sqrt(person), np.sqrt(own)),
        patients={int(label): int(count) for label, count in patients.items()},
        errors=_errors(rows, heights, fitted),
        counts=(len(of_person), len(used)),
    )


def _polish(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[np.bool_]]:
    """DEVIATIONS by level and by patient, whose median is 0, and which rows (N,) are sound."""
    x, labels, patients = rows[DEVIATIONS], rows["vertebra"], rows["patient_id"]
    labelled = rows["intact"].to_numpy(bool)
    levels = x.groupby(labels).quantile(START_QUANTILE)
    people = (x - levels.loc[labels].to_numpy()).groupby(patients).quantile(START_QUANTILE)
    for _ in range(TURNS):
        levels_of, people_of = levels.loc[labels].to_numpy(), people.loc[patients].to_numpy()
        left = x.to_numpy() - levels_of - people_of
        loss = 1 - np.exp(_log_heights(left)).min(axis=1)
        sound = labelled | (loss < REDUCED_LOSS)
        people = (x - levels_of)[sound].groupby(patients[sound]).median().reindex(people.index).fillna(people)
        people -= people.median()
        levels = (x - people.loc[patients].to_numpy())[sound].groupby(labels[sound]).median().combine_first(levels)
    return levels, people, sound


def _log_heights(deviations: Floats) -> Floats:
    """Logarithms of anterior, middle and posterior height of DEVIATIONS, both (N, 3)."""
    size = deviations[:, 2:]
    return np.column_stack([deviations[:, :2] + size, size])


def _variance(values: Floats) -> Floats:
    """Robust variance (3,) of columns (N, 3)."""
    variance: Floats = (MAD_TO_SD * np.median(np.abs(values - np.median(values, axis=0)), axis=0)) ** 2
    return variance


def _with_neighbours(levels: pd.DataFrame, patients: pd.Series) -> dict[int, Floats]:
    """Log heights (3,) by level, each drawn to what a straight line through its neighbours says, the more the fewer
    patients it has. With fewer than two neighbours it stays as it is. Levels of fewer than MIN_AT_LEVEL are left out.
    """
    patients = patients[patients >= MIN_AT_LEVEL]
    levels = levels.loc[patients.sort_index().index]
    labels = levels.index.to_numpy(np.float64)
    values = _log_heights(levels.to_numpy())
    counts = patients.sort_index().to_numpy(np.float64)
    drawn = {}
    for n, label in enumerate(labels):
        weight = counts * np.exp(-0.5 * ((labels - label) / NEAR_LEVELS) ** 2)
        weight[n] = 0.0
        predicted = values[n]
        if (weight > 0).sum() >= 2:
            predicted = np.polyfit(labels - label, values, 1, w=np.sqrt(weight))[1]
        drawn[int(label)] = (counts[n] * values[n] + NEIGHBOURS_WORTH * predicted) / (counts[n] + NEIGHBOURS_WORTH)
    return drawn


def _all_levels(fitted: dict[int, Floats]) -> dict[int, Floats]:
    """Log heights (3,) of all levels: where none were fitted, the published ones, as far off as at the nearest."""
    known = {label: np.log(three) for label, three in published().heights_mm.items()}
    nearest = {label: min(fitted, key=lambda other: (abs(other - label), other)) for label in known}
    return {
        label: fitted.get(label, three + fitted[nearest[label]] - known[nearest[label]])
        for label, three in known.items()
    }


def _errors(rows: pd.DataFrame, heights: dict[int, Floats], labels: list[int]) -> dict[int, Floats]:
    """Standard errors (3,) of these levels' log heights: patients are left out in turn, group by group (jackknife)."""
    group = rows["patient_id"].rank(method="dense").to_numpy(np.int64) % GROUPS
    squares = dict.fromkeys(labels, np.zeros(3))
    numbers = np.unique(group)
    for number in numbers:
        rest = rows[group != number].reset_index(drop=True)
        levels, _, sound = _polish(rest)
        less = _all_levels(_with_neighbours(levels, rest["vertebra"][sound].value_counts()))
        squares = {label: total + (less[label] - heights[label]) ** 2 for label, total in squares.items()}
    return {label: np.sqrt(total * (len(numbers) - 1) / len(numbers)) for label, total in squares.items()}
