"""Given centroids: every orientation and format lands on the same place in the patient; bad files say what is wrong."""

import json
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from vertegrade.annotations.verse import read_centroids
from vertegrade.reasons import Refused

SHAPE = (40, 50, 60)
AFFINE = np.array([[0.69, 0.05, 0.0, -20.0], [-0.05, 0.69, 0.1, 30.0], [0.0, -0.1, 1.2, -400.0], [0.0, 0.0, 0.0, 1.0]])
VOXEL = np.array([12.25, 31.5, 40.75])
CENTRE = AFFINE[:3, :3] @ VOXEL + AFFINE[:3, 3]
ORIENTATIONS = [codes for order in permutations(["RL", "AP", "SI"]) for codes in product(*order)]  # all 48 of them


def turned_voxel(codes: tuple[str, ...]) -> list[float]:
    """VOXEL in the scan turned to `codes`, by nibabel."""
    turn = nib.orientations.ornt_transform(nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(codes))
    back = nib.orientations.inv_ornt_aff(turn, SHAPE)
    return (np.linalg.inv(back) @ np.append(VOXEL, 1))[:3].tolist()


def write(folder: Path, content: Any) -> Path:
    path = folder / "ctd.json"
    path.write_text(json.dumps(content))
    return path


def entry(label: Any, voxel: Any = VOXEL) -> dict[str, Any]:
    return {"label": label, **dict(zip("XYZ", map(float, voxel), strict=True))}


@pytest.mark.parametrize("codes", ORIENTATIONS, ids="".join)
def test_a_centroid_means_the_same_place_in_every_orientation(tmp_path: Path, codes: tuple[str, ...]) -> None:
    path = write(tmp_path, [{"direction": list(codes)}, entry(20, turned_voxel(codes))])
    np.testing.assert_allclose(read_centroids(path, SHAPE, AFFINE)[20], CENTRE, atol=1e-9)


@pytest.mark.parametrize(
    "content",
    [
        [
            {"direction": ["R", "A", "S"], "format": "docker", "shape": SHAPE},
            entry(50 * 256 + 20),
            entry(42 * 256 + 20, [1, 1, 1]),
        ],
        [
            {"direction": ["R", "A", "S"], "format": "POI"},
            {"L1": {"Vertebra_Corpus": VOXEL.tolist(), "Spinosus": [1, 1, 1]}},
        ],
        [{"direction": ["R", "A", "S"], "format": "POI"}, {"20": {"50": VOXEL.tolist()}, "S1": {"50": [1, 1, 1]}}],
    ],
    ids=["docker", "POI by name", "POI by number"],
)
def test_the_body_centres_of_tptbox_files_are_read(tmp_path: Path, content: Any) -> None:
    centres = read_centroids(write(tmp_path, content), SHAPE, AFFINE)
    assert list(centres) == [20]
    np.testing.assert_allclose(centres[20], CENTRE)


def test_sacrum_and_coccyx_are_left_out_and_28_is_t13(tmp_path: Path) -> None:
    head = {"direction": ["R", "A", "S"]}
    path = write(tmp_path, [head, entry(19), entry(26), entry(27), entry(28)])
    assert list(read_centroids(path, SHAPE, AFFINE)) == [19, 28]


RAS = {"direction": ["R", "A", "S"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([RAS, entry(20), entry(20)], "duplicate_label"),
        ([RAS, entry(29)], "unknown_label"),
        ([RAS, entry(0)], "unknown_label"),
        ([RAS], "no_vertebrae"),
        ([RAS, entry(26)], "no_vertebrae"),
        ([entry(20)], "centroids_unreadable"),
        ([{"direction": ["R", "L", "S"]}, entry(20)], "centroids_unreadable"),
        ([RAS, entry(20.5)], "centroids_unreadable"),
        ([RAS, entry(True)], "centroids_unreadable"),
        ([{**RAS, "format": "POI"}, {"L1": {"50": [1, 2]}}], "centroids_unreadable"),
        ([RAS, entry(20, [1, 2, float("nan")])], "centroids_unreadable"),
        ([RAS, {"label": 20, "X": 1}], "centroids_unreadable"),
        ([RAS, entry(30)], "unknown_label"),
        ([RAS, entry(99)], "unknown_label"),
        ([RAS, entry(134)], "unknown_label"),
        ({"20": [1, 2, 3]}, "centroids_unreadable"),
        ([{**RAS, "shape": [40, 50, 61]}, entry(20)], "centroids_other_grid"),
        ([{**RAS, "zoom": [1, 1, 1]}, entry(20)], "centroids_other_grid"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_reason(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(Refused, match=r"ctd\.json") as caught:
        read_centroids(write(tmp_path, content), SHAPE, AFFINE)
    assert caught.value.reason == reason


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"gone\.json") as caught:
        read_centroids(tmp_path / "gone.json", SHAPE, AFFINE)
    assert caught.value.reason == "centroids_unreadable"


POINT = '[{"direction": ["R", "A", "S"]}, {"label": %s, "X": %s, "Y": 1, "Z": 1}]'
TEXTS = {"null": "null", "empty": "[]", "number": "[1]", "deep": "[" * 100_000}
TEXTS |= {"infinite label": POINT % ("1e999", 1), "number without end": POINT % (20, "1" * 400)}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_json_that_is_no_centroid_file_at_all(tmp_path: Path, text: str) -> None:
    (tmp_path / "ctd.json").write_text(text)
    with pytest.raises(Refused, match=r"ctd\.json: not a VerSe centroid file") as caught:
        read_centroids(tmp_path / "ctd.json", SHAPE, AFFINE)
    assert caught.value.reason == "centroids_unreadable"


@pytest.mark.parametrize("size", [5, "abc", [1, 2], [10**400, 1, 1]], ids=["number", "text", "two", "without end"])
def test_a_grid_that_is_no_three_numbers(tmp_path: Path, size: Any) -> None:
    for key in ("shape", "zoom"):
        with pytest.raises(Refused, match=f"{key} is not three finite numbers"):
            read_centroids(write(tmp_path, [{**RAS, key: size}, entry(20)]), SHAPE, AFFINE)


def test_a_direction_of_more_than_three_axes(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not three axis codes"):
        read_centroids(write(tmp_path, [{"direction": ["R", "A", "S", "I"]}, entry(20)]), SHAPE, AFFINE)


@pytest.mark.parametrize("gap", [float("nan"), None])
def test_a_centroid_without_a_position_costs_no_other_one(tmp_path: Path, gap: float | None) -> None:  # field test B4
    centres = read_centroids(write(tmp_path, [RAS, entry(19), {"label": 20, "X": gap, "Y": 1, "Z": 2}]), SHAPE, AFFINE)
    assert np.isnan(centres[20]).all()
    np.testing.assert_allclose(centres[19], CENTRE)


def test_names_of_levels_discs_and_the_lower_sacrum_of_tptbox_are_no_unknown_labels(tmp_path: Path) -> None:
    points = [entry("L1"), entry(120), entry(220), entry(126), entry(30)]
    assert list(read_centroids(write(tmp_path, [{**RAS, "format": "docker"}, *points]), SHAPE, AFFINE)) == [20]
    poi = [{**RAS, "format": "POI"}, {"20": {"50": VOXEL.tolist()}, "30": {"50": VOXEL.tolist()}}]
    assert list(read_centroids(write(tmp_path, poi), SHAPE, AFFINE)) == [20]


def test_a_file_without_a_direction_is_told_to_be_the_challenge_s(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"MICCAI challenge .* give the mask"):
        read_centroids(write(tmp_path, [entry(20), entry(21)]), SHAPE, AFFINE)
