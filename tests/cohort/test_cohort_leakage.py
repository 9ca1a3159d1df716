"""The leakage guard finds planted leaks and lets clean cohorts pass."""

import pandas as pd
import pytest

from vertegrade.cohort.leakage import check_leakage
from vertegrade.cohort.splits import LeakageError


def scans(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["scan_id", "patient_id", "image_sha256"])


SPLITS = pd.DataFrame({"patient_id": ["p", "q", "r"], "split": ["train", "test", "train"]})


def test_a_clean_cohort_passes_without_warnings() -> None:
    assert check_leakage(scans(("a", "p", "1" * 64), ("b", "p", "2" * 64), ("c", "q", "3" * 64)), SPLITS) == []


def test_the_same_image_in_two_splits_stops_the_run_and_names_both_scans() -> None:
    with pytest.raises(LeakageError, match=r"a \(patient p, train\), c \(patient q, test\)"):
        check_leakage(scans(("a", "p", "1" * 64), ("c", "q", "1" * 64)), SPLITS)


def test_a_patient_in_two_splits_stops_the_run() -> None:
    planted = pd.concat([SPLITS, pd.DataFrame({"patient_id": ["p"], "split": ["test"]})])
    with pytest.raises(LeakageError, match="two splits: p"):
        check_leakage(scans(("a", "p", "1" * 64)), planted)


def test_the_same_image_twice_within_a_split_is_a_warning() -> None:
    warnings = check_leakage(scans(("a", "p", "1" * 64), ("b", "r", "1" * 64)), SPLITS)
    assert len(warnings) == 1
    assert "a (patient p, train), b (patient r, train)" in warnings[0]


def test_scans_without_an_image_are_not_the_same_image() -> None:
    assert check_leakage(scans(("a", "p", ""), ("c", "q", "")), SPLITS) == []


def test_one_scan_under_two_patients_is_refused() -> None:
    with pytest.raises(LeakageError, match="scan a is listed for several patients: p, q"):
        check_leakage(scans(("a", "p", ""), ("a", "q", "")), SPLITS)
