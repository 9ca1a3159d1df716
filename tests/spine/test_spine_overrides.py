"""Landmarks corrected by hand: what a table may say, and what it does."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vertegrade.annotations.overrides import adds_to, apply_overrides, read_overrides
from vertegrade.cohort.sheet import SheetError
from vertegrade.reasons import Refused
from vertegrade.tables import LANDMARKS, POINT_COLUMNS, POINT_SD_COLUMNS, check_table, empty_table

CENTRE = ["centre_x_mm", "centre_y_mm", "centre_z_mm"]


def landmarks(labels: list[int]) -> pd.DataFrame:
    """Vertebrae 30 mm apart from z = 0 downwards, with points, found by a network; the first is not evaluable."""
    rows = [
        {"patient_id": "p1", "scan_id": "s1", "vertebra": label, "confidence": 0.6, "source": "learned"}
        | dict.fromkeys(POINT_SD_COLUMNS, 0.5)
        | {"label_confidence": 0.7}
        | dict(zip(CENTRE, (0.0, 0.0, -30.0 * place), strict=True))
        | dict.fromkeys(POINT_COLUMNS, 1.0)
        | {"evaluable": place > 0, "reason": "" if place > 0 else "low_confidence"}
        for place, label in enumerate(labels)
    ]
    return check_table(pd.DataFrame(rows)[[name for name in LANDMARKS.columns if name in rows[0]]], LANDMARKS, "test")


def overrides(folder: Path, *lines: str, header: str = "scan_id,vertebra,action") -> pd.DataFrame:
    (folder / "o.csv").write_text("\n".join([header, *lines]))
    return read_overrides(folder / "o.csv")


WITH_CENTRE = "scan_id,vertebra,action,centre_x_mm,centre_y_mm,centre_z_mm,comment"
WITH_NEW = "scan_id,vertebra,action,new_vertebra"


def test_no_path_is_no_overrides_and_changes_nothing() -> None:
    given = landmarks([19, 20])
    pd.testing.assert_frame_equal(apply_overrides(given, read_overrides(""), "s1", "p1"), given)


def test_replace_moves_a_vertebra_forgets_its_points_and_makes_it_evaluable(tmp_path: Path) -> None:
    table = apply_overrides(
        landmarks([19, 20]), overrides(tmp_path, "s1,T12,replace,1,2,3,by hand", header=WITH_CENTRE), "s1", "p1"
    )
    row = table.iloc[0]
    assert row[CENTRE].tolist() == [1, 2, 3]
    assert (row["source"], row["confidence"], row["evaluable"], row["reason"]) == ("override", 1.0, True, "")
    assert table[POINT_COLUMNS + POINT_SD_COLUMNS].iloc[0].isna().all()
    assert table["source"].iloc[1] == "learned"


def test_six_points_alone_give_the_centre(tmp_path: Path) -> None:
    points = np.arange(18.0)
    line = ",".join(["s1,20,replace", *map(str, points)])
    table = apply_overrides(
        landmarks([20]),
        overrides(tmp_path, line, header=",".join(["scan_id,vertebra,action", *POINT_COLUMNS])),
        "s1",
        "p1",
    )
    assert table[POINT_COLUMNS].iloc[0].tolist() == points.tolist()
    assert table[CENTRE].iloc[0].tolist() == points.reshape(6, 3).mean(axis=0).tolist()


def test_delete_add_and_relabel_keep_the_order_from_head_to_feet(tmp_path: Path) -> None:
    table = apply_overrides(
        landmarks([18, 19, 20]),
        overrides(
            tmp_path, "s1,20,delete,,,,", "s1,17,add,,0,0,30", "s1,19,relabel,28,,,",
            header="scan_id,vertebra,action,new_vertebra,centre_x_mm,centre_y_mm,centre_z_mm",
        ), "s1", "p1",
    )  # fmt: skip
    assert table["vertebra"].tolist() == [17, 18, 28]
    assert table["source"].tolist() == ["override", "learned", "override"]
    assert table["patient_id"].tolist() == ["p1"] * 3
    assert not math.isnan(table[POINT_COLUMNS[0]].iloc[2])


def test_all_labels_can_move_by_one_together(tmp_path: Path) -> None:
    table = apply_overrides(
        landmarks([18, 19, 20]),
        overrides(tmp_path, "s1,18,relabel,19", "s1,19,relabel,20", "s1,20,relabel,21", header=WITH_NEW),
        "s1",
        "p1",
    )
    assert table["vertebra"].tolist() == [19, 20, 21]
    assert table["centre_z_mm"].tolist() == [0, -30, -60]


def test_landmarks_without_a_detector_s_columns_stay_without(tmp_path: Path) -> None:
    plain = landmarks([19]).drop(columns=[*POINT_SD_COLUMNS, "label_confidence"])
    table = apply_overrides(plain, overrides(tmp_path, "s1,19,replace,1,2,3,", header=WITH_CENTRE), "s1", "p1")
    assert list(table.columns) == list(plain.columns)


def test_other_scans_are_left_alone(tmp_path: Path) -> None:
    given = landmarks([19, 20])
    pd.testing.assert_frame_equal(apply_overrides(given, overrides(tmp_path, "s2,19,delete"), "s1", "p1"), given)


def test_deleting_everything_leaves_an_empty_table(tmp_path: Path) -> None:
    assert apply_overrides(landmarks([19]), overrides(tmp_path, "s1,19,delete"), "s1", "p1").empty


def test_a_scan_in_which_nothing_was_found_can_be_rescued(tmp_path: Path) -> None:
    given = overrides(tmp_path, "s1,19,add,1,2,3,", "s1,20,add,1,4,-30,", "s2,19,delete,,,,", header=WITH_CENTRE)
    assert adds_to(given, "s1")
    assert not adds_to(given, "s2")
    table = apply_overrides(empty_table(LANDMARKS), given, "s1", "p1")
    assert table["vertebra"].tolist() == [19, 20]
    assert table["evaluable"].all()
    assert set(table["patient_id"]) == {"p1"}
    assert table[CENTRE].to_numpy().tolist() == [[1, 2, 3], [1, 4, -30]]


@pytest.mark.parametrize(
    ("line", "header", "message"),
    [
        ("s1,21,delete", "scan_id,vertebra,action", "L2 was not found"),
        ("s1,19,add,1,2,3,", WITH_CENTRE, "T12 is there already"),
        ("s1,19,relabel,20", WITH_NEW, "two vertebrae are L1"),
    ],
)
def test_corrections_that_do_not_fit_what_was_found_are_refused(
    tmp_path: Path, line: str, header: str, message: str
) -> None:
    with pytest.raises(Refused, match=f"scan s1: {message}"):
        apply_overrides(landmarks([19, 20]), overrides(tmp_path, line, header=header), "s1", "p1")


@pytest.mark.parametrize(
    ("line", "header", "message"),
    [
        ("s1,19,move", "scan_id,vertebra,action", "line 2: action 'move' must be one of"),
        ("s1,99,delete", "scan_id,vertebra,action", "line 2: vertebra '99' is no VerSe vertebra"),
        (",19,delete", "scan_id,vertebra,action", "line 2: scan_id is empty"),
        ("s1,19,replace,1,,3,", WITH_CENTRE, "line 2: the centre must be given with all"),
        ("s1,19,replace,1,two,3,", WITH_CENTRE, "line 2: centre_y_mm 'two' is not a number"),
        ("s1;19;replace;1;2,5;3;", WITH_CENTRE.replace(",", ";"), "centre_y_mm '2,5' is not a number; write a decimal"),
        ("s1,19,add,,,,", WITH_CENTRE, "line 2: action add needs a centre or six points"),
        ("s1,19,delete,1,2,3,", WITH_CENTRE, "line 2: action delete takes no positions"),
        ("s1,19,relabel,", WITH_NEW, "line 2: new_vertebra '' is no VerSe vertebra"),
        ("s1,19,delete,20", WITH_NEW, "line 2: new_vertebra belongs to action relabel"),
        ("s1,19,delete\ns1,T12,delete", "scan_id,vertebra,action", "line 3: scan 's1', vertebra 19 is already"),
        ("s1,19,delete", "scan_id,vertebra,act", "column 'action' is missing; unknown column 'act'"),
    ],
)
def test_rows_that_cannot_be_are_named_by_their_line(tmp_path: Path, line: str, header: str, message: str) -> None:
    with pytest.raises(SheetError, match=message):
        overrides(tmp_path, line, header=header)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match=r"line 2(.|\n)*line 4"):
        overrides(tmp_path, "s1,19,move", "s1,20,delete", "s1,99,delete")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match=r"nowhere\.csv: cannot be read"):
        read_overrides(tmp_path / "nowhere.csv")
