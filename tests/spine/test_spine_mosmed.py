"""MosMed's six-point annotations: the real archive, the way from its voxels to mm, and files that are not it."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from vertegrade.spine.mosmed import MosmedError, Reading, heights, read_annotations, stacked_affine, to_mm

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "mosmed_keypoints.zip"
# An upright body: rows run from front to back, slices from head to feet.
SEGMENTS = [[[10, 5, 20], [10, 5, 40]], [[20, 5, 22], [20, 5, 38]], [[30, 5, 20], [30, 5, 41]]]
ORIENTATION = np.array([1.0, 0, 0, 0, 1.0, 0])


@pytest.fixture(scope="module")
def archive() -> list[Reading]:
    if not ARCHIVE.is_file():
        pytest.skip(f"{ARCHIVE} is not on this machine")
    return read_annotations(ARCHIVE)


def annotation(vertebra: object = None, **changes: object) -> str:
    vertebra = {"segments": SEGMENTS, "type": "Th8"} if vertebra is None else vertebra
    content = {"SeriesInstanceUID": "1.2.3", "Annotation": {"expert1": [vertebra]}}
    return json.dumps(content | changes)


def read(folder: Path, text: str) -> list[Reading]:
    (folder / "one.json").write_text(text)
    return read_annotations(folder / "one.json")


@pytest.mark.shared
def test_the_archive_has_3607_readings_of_100_series_by_4_experts(archive: list[Reading]) -> None:
    assert len(archive) == 3607
    assert len({reading.series_uid for reading in archive}) == 100
    assert len({reading.expert for reading in archive}) == 4


@pytest.mark.shared
def test_experts_of_the_archive_differ_by_0_032_in_the_loss_of_height(archive: list[Reading]) -> None:
    affine = stacked_affine(ORIENTATION, np.zeros(3), np.array([0, 0, -1.0]), 2, (0.7, 0.7))
    losses: dict[tuple[str, int], list[float]] = {}
    for reading in archive:
        three = heights(to_mm(reading, affine))
        losses.setdefault((reading.series_uid, reading.vertebra), []).append(1 - three.min() / three.max())
    differences = [abs(a - b) for values in losses.values() for a, b in combinations(values, 2)]
    assert len(differences) == 3239
    assert np.mean(differences) == pytest.approx(0.032, abs=0.0005)


@pytest.mark.parametrize("down", [True, False], ids=["head first", "feet first"])
def test_points_land_in_the_patient_whichever_way_the_slices_are_stacked(tmp_path: Path, down: bool) -> None:
    segments = np.array(SEGMENTS, dtype=float)
    if not down:
        segments[..., 2] = 100 - segments[..., 2]
    reading = read(tmp_path, annotation({"segments": segments.tolist(), "type": "Th8"}))[0]
    top, bottom = np.array([-100.0, -200.0, 50.0]), np.array([-100.0, -200.0, -100.0])
    first, last = (top, bottom) if down else (bottom, top)
    points = to_mm(reading, stacked_affine(ORIENTATION, first, last, 101, (0.5, 0.8)))
    # Row 10 lies 5 mm behind LPS -200, which is RAS +200; column 5 4 mm to the left of RAS +100; slices are 1.5 mm.
    np.testing.assert_allclose(points[0], [96, 195, 20])
    np.testing.assert_allclose(heights(points), [30, 24, 31.5])


def test_voxels_of_a_volume_are_found_again(tmp_path: Path) -> None:
    stack = np.zeros((40, 12, 50))
    stack[10, 5, 20] = 1
    reading = read(tmp_path, annotation())[0]
    assert stack[tuple(reading.voxels[0].astype(int))] == 1


def test_segments_and_ends_in_any_order_are_the_same_points(tmp_path: Path) -> None:
    shuffled = [SEGMENTS[2][::-1], SEGMENTS[0], SEGMENTS[1][::-1]]
    plain, mixed = (read(tmp_path, annotation({"segments": s, "type": "L1"}))[0] for s in (SEGMENTS, shuffled))
    np.testing.assert_array_equal(plain.voxels, mixed.voxels)
    assert plain.vertebra == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "one.json: not a MosMed annotation"),
        ("[]", "one.json: not a MosMed annotation"),
        (annotation({"segments": SEGMENTS, "type": "Th14"}), "expert1, vertebra 1: type 'Th14'"),
        (annotation("Th8"), "expert1, vertebra 1: type None"),
        (annotation({"type": "Th8"}), "no segments"),
        (annotation({"segments": SEGMENTS[:2], "type": "Th8"}), r"not \(2, 2, 3\)"),
        (annotation({"segments": [[[1, 2, "x"], [1, 2, 3]]] * 3, "type": "Th8"}), "no segments"),
        (
            annotation(Annotation={"expert1": [{"segments": SEGMENTS, "type": "Th8"}] * 2}),
            "vertebra 2: Th8 stands twice",
        ),
        (annotation(Annotation={"expert1": 5}), "expert1 has no list"),
    ],
)
def test_a_file_that_is_no_annotation_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MosmedError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MosmedError, match=r"nowhere\.json: cannot be read"):
        read_annotations(tmp_path / "nowhere.json")
