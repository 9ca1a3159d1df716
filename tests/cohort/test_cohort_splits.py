"""Patient splits: stable, given ones first, never two for one patient."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertegrade.cohort.hashed_split import hash_fraction
from vertegrade.cohort.splits import (
    LeakageError,
    assign_splits,
    merge_given_splits,
    split_map,
    split_of,
)
from vertegrade.settings.cohort import SplitSettings

SETTINGS = SplitSettings()
IDS = st.text("abcdefghij0123456789-", min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.sets(IDS, min_size=1, max_size=20), st.sets(IDS, min_size=1, max_size=20))
def test_adding_patients_moves_nobody(first: set[str], more: set[str]) -> None:
    before = split_map(assign_splits(dict.fromkeys(first, ""), SETTINGS))
    after = split_map(assign_splits(dict.fromkeys(first | more, ""), SETTINGS))
    assert {patient: after[patient] for patient in first} == before


def test_shares_are_those_of_the_settings() -> None:
    table = assign_splits({f"p{i}": "" for i in range(4000)}, SETTINGS)
    shares = table["split"].value_counts(normalize=True)
    assert [shares["train"], shares["validation"], shares["test"]] == pytest.approx([0.55, 0.20, 0.25], abs=0.025)


def test_the_hash_is_what_it_was() -> None:
    # Frozen: another value would silently reshuffle every existing cohort.
    assert hash_fraction("p0", "vertegrade") == pytest.approx(0.5615496190697922, abs=1e-12)


def test_another_key_gives_another_split() -> None:
    patients = {f"p{i}": "" for i in range(50)}
    other = assign_splits(patients, SplitSettings(key="other"))
    assert list(other["split"]) != list(assign_splits(patients, SETTINGS)["split"])


def test_a_given_split_wins_and_is_marked() -> None:
    table = assign_splits({f"p{i}": "test" for i in range(20)} | {"q": ""}, SETTINGS).set_index("patient_id")
    assert set(table.loc[[f"p{i}" for i in range(20)], "split"]) == {"test"}
    assert table["origin"].value_counts().to_dict() == {"given": 20, "hash": 1}


def test_sheet_and_labels_together_give_splits_for_the_cohorts_patients() -> None:
    given = merge_given_splits(["r", "p", "q", "p"], {"p": "train"}, {"q": "test", "absent": "test"})
    assert given == {"p": "train", "q": "test", "r": ""}


def test_contradicting_given_splits_are_refused_by_name() -> None:
    with pytest.raises(LeakageError, match=r"p \(train in the sheet, test in the labels\)"):
        merge_given_splits(["p"], {"p": "train"}, {"p": "test"})


def test_a_patient_in_two_splits_is_refused_by_every_consumer() -> None:
    splits = pd.DataFrame({"patient_id": ["p", "q", "p"], "split": ["train", "test", "test"]})
    with pytest.raises(LeakageError, match="patients in two splits: p"):
        split_of(splits, ["q"])


def test_an_unknown_patient_is_refused() -> None:
    with pytest.raises(ValueError, match="without a split: z"):
        split_of(assign_splits({"p": ""}, SETTINGS), ["p", "z"])


def test_an_unknown_split_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown splits val"):
        assign_splits({"p": "val"}, SETTINGS)


def test_hashes_are_spread_evenly() -> None:
    values = np.sort([hash_fraction(f"patient-{i}", "k") for i in range(2000)])
    assert np.abs(values - np.arange(2000) / 2000).max() < 0.04
