"""Whether the labelled patients are enough to fit hyperplane, calibrator and intervals, split as the run will."""

from collections.abc import Iterator

import pandas as pd

from vertegrade.cohort.labels import LabelError, join_labels
from vertegrade.cohort.sheet import ScanRow
from vertegrade.cohort.sources import read_label_file
from vertegrade.cohort.splits import LeakageError, assign_splits, merge_given_splits
from vertegrade.grading.conformal import patients_needed
from vertegrade.grading.rows import LEAST_PATIENTS
from vertegrade.preflight.labels import label_files
from vertegrade.settings import Settings


def check_training(settings: Settings, rows: dict[int, ScanRow]) -> list[str]:
    """What is missing to train on these scans.

    Nothing where a model is given, or where labels cannot be read, which `check_labels` reports. Labelled vertebrae may
    turn out not to be evaluable; only the run can show that.
    """
    files = sorted(label_files(settings, rows))
    if settings.run.model or not rows:
        return []
    if settings.cohort.virtual_labels:
        return list(_too_few_patients(settings, rows))
    if not files:
        return []
    try:
        labels = join_labels([read_label_file(path) for path in files])
        splits = _splits(settings, rows, labels.given_splits)
    except LabelError:
        return []
    except LeakageError as error:
        return [f"labels: {error}"]
    return list(_too_few(settings, rows, labels.table, splits))


def _too_few_patients(settings: Settings, rows: dict[int, ScanRow]) -> Iterator[str]:
    """What is missing where grades are learned from virtual fractures, which nearly every scan can have."""
    splits = pd.Series(_splits(settings, rows, {}))
    needed = {"train": LEAST_PATIENTS, "validation": patients_needed(settings.grading.coverage)}
    for split, least in needed.items():
        if (found := int((splits == split).sum())) < least:
            yield (
                f"cohort: the {split} split has {found} patient(s), at least {least} are needed to learn grades from "
                "virtual fractures; add patients, change cohort.splits or the sheet's column split, lower "
                "grading.coverage (validation), or set run.model"
            )


def _splits(settings: Settings, rows: dict[int, ScanRow], of_labels: dict[str, str]) -> dict[str, str]:
    """Split of each patient, as rule `split` gives them."""
    from_sheet = {row.patient_id: row.split for row in rows.values() if row.split}
    given = merge_given_splits((row.patient_id for row in rows.values()), from_sheet, of_labels)
    table = assign_splits(given, settings.cohort.splits)
    return dict(zip(table["patient_id"], table["split"], strict=True))


def _too_few(
    settings: Settings, rows: dict[int, ScanRow], labels: pd.DataFrame, splits: dict[str, str]
) -> Iterator[str]:
    scans = {row.scan_id for row in rows.values()}
    usable = labels[labels["usable"] & labels["scan_id"].isin(scans)]
    fractured = usable["genant_grade"] >= settings.grading.fracture_grade
    split = usable["patient_id"].map(splits)
    train = split == "train"
    for wanted, name in ((~fractured, "an intact"), (fractured, "a fractured")):
        found = usable.loc[train & wanted, "patient_id"].nunique()
        if found < LEAST_PATIENTS:
            yield (
                f"labels: the training split has {found} patient(s) with {name} vertebra (grading.fracture_grade = "
                f"{settings.grading.fracture_grade}), at least {LEAST_PATIENTS} are needed; grade more, change "
                "cohort.splits or the sheet's column split, or set run.model"
            )
    found, needed = (
        usable.loc[split == "validation", "patient_id"].nunique(),
        patients_needed(settings.grading.coverage),
    )
    if found < needed:
        yield (
            f"labels: the validation split has {found} graded patient(s), intervals of coverage "
            f"{settings.grading.coverage:g} need {needed}; lower grading.coverage, change the splits, or set run.model"
        )
