"""The straightened spine: the bodies in front of the canal, in millimetres, each where its landmarks say."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from helpers.phantom_scan import scan
from vertegrade.arrays import Floats
from vertegrade.ct.volume import AIR_HU, Volume
from vertegrade.graders.seq2seq.spine import StraightSpine, body_rows, patch_rows, spine_bodies, straight_spine
from vertegrade.localizer.canal.find import Canal
from vertegrade.settings.seq2seq import StraightSpineSettings
from vertegrade.spine.centreline import fit_centreline
from vertegrade.tables import BODY_HEIGHTS, POINT_COLUMNS, SPINE_BODIES, centres_of, check_table, points_of

SETTINGS = StraightSpineSettings()
BEHIND_MM = 24.0


@cache
def found() -> tuple[Volume, pd.DataFrame, Canal]:
    """A phantom, its true landmarks, and a canal behind its bodies."""
    volume, landmarks = scan()
    points = points_of(landmarks)
    back = points[:, 4:].mean(axis=1) - points[:, :2].mean(axis=1)
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    line = fit_centreline(centres_of(landmarks) + BEHIND_MM * back, 10.0)
    return volume, landmarks, Canal(line, -15.0, float(line.arcs[-1]) + 15.0, 1, 1)


@cache
def straight() -> StraightSpine:
    volume, _, canal = found()
    return straight_spine(volume, canal, SETTINGS)


def crops_of(landmarks: pd.DataFrame) -> pd.DataFrame:
    crops = landmarks[["patient_id", "scan_id", "vertebra", "evaluable", "reason", "label_confidence", "flags"]]
    return crops.assign(crop=range(len(crops)), inside_fraction=1.0, slice_thickness_mm=1.0)


def test_patches_fill_the_spine_and_hold_the_bodies() -> None:
    pixels = straight().pixels
    height, step = patch_rows(SETTINGS)
    assert (height, step) == (24, 6)
    assert (len(pixels) - height) % step == 0
    assert pixels.shape[1:] == (28, 28)
    _, landmarks, _ = found()
    rows = body_rows(landmarks, straight().frames, SETTINGS)
    for top, bottom in rows:
        middle = pixels[round((top + bottom) / 2), 10:18, 10:18]
        assert middle.mean() > 60  # trabecular bone
        assert pixels[round((top + bottom) / 2), 12:16, -2:].mean() < 150  # the canal is at the back


def test_rows_are_millimetres() -> None:
    _, landmarks, _ = found()
    rows = body_rows(landmarks, straight().frames, SETTINGS)
    points = points_of(landmarks)
    heights = np.linalg.norm(points[:, :6:2] - points[:, 1::2], axis=-1).mean(axis=1)
    assert np.diff(rows, axis=1)[:, 0] * SETTINGS.voxel_mm == pytest.approx(heights, rel=0.12)
    assert (np.diff(rows.mean(axis=1)) > 0).all()
    three = np.linalg.norm(points[:, :6:2] - points[:, 1::2], axis=-1)
    assert bodies(straight().frames)[BODY_HEIGHTS].to_numpy() == pytest.approx(three)


def test_thick_slices_change_no_step() -> None:
    volume, landmarks, canal = found()
    count = volume.hu.shape[2] // 4
    thick = volume.hu[:, :, : count * 4].reshape(*volume.hu.shape[:2], count, 4).mean(axis=3)
    affine = volume.affine @ np.diag([1.0, 1.0, 4.0, 1.0])
    affine[:3, 3] += volume.affine[:3, 2] * 1.5
    other = straight_spine(Volume(np.rint(thick).astype(np.int16), affine), canal, SETTINGS)
    assert other.pixels.shape == straight().pixels.shape
    inside = (other.pixels != AIR_HU) & (straight().pixels != AIR_HU)
    assert np.corrcoef(other.pixels[inside], straight().pixels[inside])[0, 1] > 0.8
    assert body_rows(landmarks, other.frames, SETTINGS) == pytest.approx(
        body_rows(landmarks, straight().frames, SETTINGS)
    )


def test_bodies_without_points_have_their_levels_usual_height() -> None:
    _, landmarks, _ = found()
    without = landmarks.assign(**dict.fromkeys(POINT_COLUMNS, np.nan))
    known, usual = (body_rows(table, straight().frames, SETTINGS) for table in (landmarks, without))
    assert usual.mean(axis=1) == pytest.approx(known.mean(axis=1), abs=1.5)
    off = np.diff(usual, axis=1) - np.diff(known, axis=1)  # fractured bodies are lower than usual
    assert np.median(np.abs(off)) < 4.5


def bodies(frames: Floats | None, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> pd.DataFrame:
    _, landmarks, _ = found()
    moved = landmarks.assign(
        **{
            name: landmarks[name] + shift["xyz".index(name[-4])]
            for name in [*POINT_COLUMNS, *[f"centre_{axis}_mm" for axis in "xyz"]]
        }
    )
    table = spine_bodies(crops_of(landmarks), moved, frames, SETTINGS)
    return check_table(table, SPINE_BODIES, "bodies")


def test_what_the_slab_does_not_show_is_not_evaluable_and_says_why() -> None:
    assert bodies(straight().frames)["evaluable"].all()
    assert set(bodies(None)["reason"]) == {"no_canal"}
    assert bodies(None)["top_row"].isna().all()
    assert set(bodies(straight().frames, (60.0, 0.0, 0.0))["reason"]) == {"beyond_canal"}
    higher = bodies(straight().frames, (0.0, 0.0, 45.0))
    assert higher["reason"].iloc[0] == "beyond_canal"
    assert higher["evaluable"].iloc[-1]


def test_a_scan_without_crops_has_no_bodies() -> None:
    _, landmarks, _ = found()
    table = spine_bodies(crops_of(landmarks)[:0], landmarks[:0], straight().frames, SETTINGS)
    assert len(check_table(table, SPINE_BODIES, "bodies")) == 0


def test_a_reason_that_a_crop_has_stays() -> None:
    _, landmarks, _ = found()
    crops = crops_of(landmarks)
    crops.loc[0, ["evaluable", "reason"]] = [False, "outside_scan"]
    table = spine_bodies(crops, landmarks, None, SETTINGS)
    assert table["reason"].tolist()[:2] == ["outside_scan", "no_canal"]
