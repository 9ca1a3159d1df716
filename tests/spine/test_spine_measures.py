"""Discs, slips, curves and trabecular HU of spines whose measures are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.landmarks import THORACOLUMBAR, landmarks, normal_heights
from helpers.script_jobs import run_script
from vertegrade.ct.volume import Volume, write_volume
from vertegrade.files import write_json
from vertegrade.levels import LABEL_OF, SACRUM
from vertegrade.spine import density, morphometry
from vertegrade.spine.alignment import curves_of, disc_and_slip, neighbours
from vertegrade.spine.density import FORBIDDING, core_of, trabecular_attenuation
from vertegrade.spine.measures import spine_measures
from vertegrade.tables import (
    LANDMARKS,
    POINT_COLUMNS,
    SPINE_CURVES,
    SPINE_MEASURES,
    points_of,
    read_table,
    write_table,
)

T12, T13, L1, L2 = (LABEL_OF[name] for name in ("T12", "T13", "L1", "L2"))


def straight(*labels: int, height: float = 25.0) -> pd.DataFrame:
    """Bodies of one height, 35 mm apart, upright: so that each disc has 10 mm."""
    return landmarks({label: np.full(3, height) for label in labels})


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points (6, 3) pitched forwards about their middle."""
    angle = np.radians(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])
    middle = points.mean(axis=0)
    return np.asarray((points - middle) @ turn.T + middle)


def with_points(rows: pd.DataFrame, points: np.ndarray) -> pd.DataFrame:
    return rows.assign(**dict(zip(POINT_COLUMNS, points.reshape(len(rows), -1).T, strict=True)))


def bone(inner: float = 150.0, shell: float = 700.0) -> Volume:
    """A volume of 1 mm with a body of 33 x 40 x 25 mm around (0, -14, 0): a shell of 2 mm around trabecular bone."""
    hu = np.full((60, 60, 60), -50, dtype=np.int16)
    hu[10:50, 13:46, 17:43] = shell
    hu[12:48, 15:44, 20:40] = inner
    affine = np.eye(4)
    affine[:3, 3] = (-30.0, -44.0, -30.0)
    return Volume(hu, affine)


def test_neighbours_know_vertebrae_that_some_people_have() -> None:
    assert neighbours(np.array([T12, T13, L1])) == [(0, 1), (1, 2)]
    assert neighbours(np.array([L1, T12])) == [(1, 0)]
    assert neighbours(np.array([T12, L2])) == []


def test_a_disc_has_the_gap_between_the_points() -> None:
    points, sds = points_of(straight(L1, L2)), np.full((2, 6), 0.3)
    found = disc_and_slip(points, sds, 0, 1)
    assert [found[f"disc_{name}_mm"] for name in ("anterior", "middle", "posterior")] == pytest.approx([10, 10, 10])
    assert found["slip_mm"] == pytest.approx(0)
    assert found["disc_middle_error_mm"] == pytest.approx(np.hypot(0.3 * np.sqrt(2), 0.5), rel=1e-3)


def test_a_slip_lengthens_no_disc() -> None:
    points = points_of(straight(L1, L2))
    points[0, :, 1] += 6.0
    found = disc_and_slip(points, np.zeros((2, 6)), 0, 1)
    assert found["slip_mm"] == pytest.approx(6)
    assert found["disc_middle_mm"] == pytest.approx(10)


def test_cobb_angles_are_those_between_the_outer_endplates() -> None:
    rows = straight(*range(LABEL_OF["T4"], LABEL_OF["L5"] + 1))
    points = points_of(rows)
    labels = rows["vertebra"].tolist()
    for label, pitch in (("T4", 22.0), ("T12", -13.0), ("L1", -20.0), ("L5", 25.0)):
        row = labels.index(LABEL_OF[label])
        points[row] = turned(points[row], pitch)
    found = curves_of(with_points(rows, points))
    assert found["kyphosis_deg"] == pytest.approx(35)
    assert found["lordosis_deg"] == pytest.approx(45)
    assert found["scoliosis_deg"] == pytest.approx(0, abs=1e-6)
    assert 1.2 < found["kyphosis_error_deg"] < 2.5
    assert np.isnan(curves_of(rows[rows["vertebra"] != LABEL_OF["T4"]])["kyphosis_deg"])


def test_a_scoliosis_is_the_largest_angle_of_the_curve() -> None:
    rows = straight(*THORACOLUMBAR)
    z = rows["centre_z_mm"].to_numpy()
    middle = (z.max() + z.min()) / 2
    bent = rows.assign(centre_x_mm=(z - middle) ** 2 / 900)  # slope 2 (z - middle) / 900
    wanted = 2 * np.degrees(np.arctan((z.max() - z.min()) / 900))
    assert curves_of(bent)["scoliosis_deg"] == pytest.approx(wanted, abs=0.1)
    assert np.isnan(curves_of(rows.head(5))["scoliosis_deg"])


def test_hu_are_those_of_the_bone_inside_the_shell() -> None:
    points = points_of(straight(L1))[0]
    found = trabecular_attenuation(bone(150), points, "resampled_tilt")
    assert (found.hu, found.reason) == (150, "")
    assert found.error_hu == pytest.approx(density.FLOOR_HU)


@pytest.mark.parametrize("flag", FORBIDDING)
def test_hu_are_not_given_where_they_are_not_those_of_bone_alone(flag: str) -> None:
    found = trabecular_attenuation(bone(), points_of(straight(L1))[0], f"derived {flag}")
    assert np.isnan(found.hu)
    assert found.reason == flag


def test_a_crushed_body_has_no_core() -> None:
    flat = points_of(straight(L1, height=9.0))[0]
    assert trabecular_attenuation(bone(), flat, "").reason == "too_flat"
    assert trabecular_attenuation(bone(), np.full((6, 3), np.nan), "").reason == "no_points"


def test_the_core_lies_in_front_and_follows_the_body() -> None:
    points = points_of(straight(L1))[0]
    middle, axes, half = core_of(points)
    assert middle[1] > points[:, 1].mean()
    tilted = core_of(turned(points, 30))
    assert np.degrees(np.arccos(axes[2] @ tilted[1][2])) == pytest.approx(30)
    np.testing.assert_allclose(tilted[2], half)
    assert density.SHARES == morphometry.SHARES


def test_vertebrae_in_doubt_have_no_measures() -> None:
    rows = landmarks({label: normal_heights(label) for label in (T12, L1, L2)})
    rows.loc[1, ["evaluable", "reason"]] = [False, "cut_by_scan"]
    bodies, curves = spine_measures(rows, lambda _: bone(), lambda _: True)
    assert bodies["vertebra"].tolist() == [T12, L2]
    assert bodies["disc_middle_mm"].isna().all()
    assert len(curves) == 1
    nothing = spine_measures(rows.assign(evaluable=False, reason="cut_by_scan"), lambda _: bone(), lambda _: True)
    assert [list(table.columns) for table in nothing] == [list(SPINE_MEASURES.columns), list(SPINE_CURVES.columns)]
    assert SACRUM not in bodies["vertebra"].tolist()


@pytest.mark.parametrize(("header", "note"), [({}, "contrast_unknown"), ({"ContrastBolusAgent": False}, "")])
def test_hu_say_where_contrast_is_unknown(header: dict[str, bool], note: str, tmp_path: Path) -> None:
    """A NIfTI's sidecar has no header, and most DICOM headers do not say that no contrast was given."""
    rows = straight(L1)
    shift = np.array([0.0, -14.0, 0.0]) - points_of(rows)[0].mean(axis=0)
    rows = with_points(rows, points_of(rows) + shift)
    write_table(tmp_path / "landmarks.parquet", rows, LANDMARKS)
    scan = rows["scan_id"].iloc[0]
    write_volume(tmp_path / f"{scan}_ct.nii.gz", bone())
    write_json(tmp_path / f"{scan}_ct.json", header)
    run_script(
        tmp_path,
        "spine_measures",
        {"volumes": str(tmp_path), "landmarks": str(tmp_path / "landmarks.parquet")},
        {name: str(tmp_path / f"{name}.parquet") for name in ("bodies", "curves")},
    )
    (found,) = read_table(tmp_path / "bodies.parquet", SPINE_MEASURES).to_dict("records")
    assert (found["hu_reason"], found["hu_note"]) == ("", note)
    # where none are given there is nothing to know of them
    flat = spine_measures(rows.assign(flags="metal"), lambda _: bone(), lambda _: False)[0]
    assert (flat["hu_reason"] + flat["hu_note"]).tolist() == ["metal"]
