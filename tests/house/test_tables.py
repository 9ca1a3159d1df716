"""Tables are read as they were written, whatever their texts look like."""

from pathlib import Path

import pandas as pd

from vertegrade.tables import PATIENT_SPLITS, read_table


def test_ids_of_digits_keep_their_zeros(tmp_path: Path) -> None:
    splits = pd.DataFrame({"patient_id": ["007", "012"], "split": ["train", "test"], "origin": "hash"})
    splits.to_csv(tmp_path / "splits.tsv", sep="\t", index=False)
    assert read_table(tmp_path / "splits.tsv", PATIENT_SPLITS)["patient_id"].tolist() == ["007", "012"]
