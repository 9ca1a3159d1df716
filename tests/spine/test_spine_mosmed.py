"""MosMed's six-point annotations: the real archive, the way from its voxels to mm, and files that are not it."""

import json
import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from vertegrade.annotations.mosmed import (
    AXIAL,
    MosmedError,
    Reading,
    agreed_points,
    heights,
    read_annotations,
    stack_affine,
    to_mm,
)
from vertegrade.levels import craniocaudal_rank

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "mosmed_keypoints.zip"
# An upright body: rows run from front to back, slices from head to feet.
SEGMENTS = [[[10, 5, 20], [10, 5, 40]], [[20, 5, 22], [20, 5, 38]], [[30, 5, 20], [30, 5, 41]]]
SHAPE = (64, 48, 200)


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
    affine = stack_affine(SHAPE, np.diag([0.7, 0.7, 1.0, 1.0]), AXIAL, head_first=False)
    losses: dict[tuple[str, int], list[float]] = {}
    for reading in archive:
        three = heights(to_mm(reading, affine))
        losses.setdefault((reading.series_uid, reading.vertebra), []).append(1 - three.min() / three.max())
    differences = [abs(a - b) for values in losses.values() for a, b in combinations(values, 2)]
    assert len(differences) == 3239
    assert np.mean(differences) == pytest.approx(0.032, abs=0.0005)


@pytest.mark.shared
def test_every_series_of_the_archive_has_its_vertebrae_head_to_feet(archive: list[Reading], tmp_path: Path) -> None:
    with zipfile.ZipFile(ARCHIVE) as files:
        files.extractall(tmp_path)
    affine = np.diag([0.7, 0.7, 0.8, 1.0])  # the archive has no spacing; the order does not depend on it
    counts = []
    for file in sorted(tmp_path.rglob("*.json")):
        points = agreed_points(file, (512, 512, 600), affine, AXIAL)
        heads_down = [points[vertebra][:, 2].mean() for vertebra in sorted(points, key=craniocaudal_rank)]
        assert (np.diff(heads_down) < 0).all()
        counts.append(len(points))
    assert len(counts) == 100
    assert sum(counts) == 1338  # of 1339: one was put 10 mm apart


@pytest.mark.parametrize("head_first", [True, False], ids=["head first", "feet first"])
def test_points_land_in_the_patient_whichever_way_the_slices_are_stacked(tmp_path: Path, head_first: bool) -> None:
    affine = np.array([[0.8, 0, 0, -20], [0, 0.5, 0, 30], [0, 0, 1.5, -100], [0, 0, 0, 1]])
    segments = np.array(SEGMENTS, dtype=float)
    if not head_first:
        segments[..., 2] = SHAPE[2] - 1 - segments[..., 2]
    reading = read(tmp_path, annotation({"segments": segments.tolist(), "type": "Th8"}))[0]
    points = to_mm(reading, stack_affine(SHAPE, affine, AXIAL, head_first))
    # Row 10 is voxel 37 from the back, column 5 voxel 58 from the left, slice 20 voxel 179 from the feet.
    np.testing.assert_allclose(points[0], [58 * 0.8 - 20, 37 * 0.5 + 30, 179 * 1.5 - 100])
    np.testing.assert_allclose(heights(points), [30, 24, 31.5])


@pytest.mark.parametrize(
    ("vertebrae", "axcodes", "message"),
    [
        ([("Th8", 0)], AXIAL, "one vertebra does not show"),
        (
            [("Th8", 0), ("Th9", 30), ("Th10", 90), ("Th11", 60), ("Th12", 120)],
            AXIAL,
            "T10 and T11 are not in the order",
        ),
        ([("Th8", 0), ("Th9", 180)], AXIAL, r"expert1, T9: a point lies outside the scan's \[48, 64, 200\] rows"),
        ([("Th8", 0), ("Th9", 30)], "PI", "points of axial series alone can be read"),
    ],
)
def test_a_series_that_cannot_be_placed_is_refused(
    tmp_path: Path, vertebrae: list[tuple[str, int]], axcodes: str, message: str
) -> None:
    entries = [{"segments": np.add(SEGMENTS, [0, 0, down]).tolist(), "type": name} for name, down in vertebrae]
    (tmp_path / "one.json").write_text(annotation(Annotation={"expert1": entries}))
    with pytest.raises(MosmedError, match=f"one.json: {message}"):
        agreed_points(tmp_path / "one.json", SHAPE, np.eye(4), axcodes)


def test_a_folder_of_two_series_is_not_the_file_of_a_scan(tmp_path: Path) -> None:
    for uid in ("1.2", "1.3"):
        (tmp_path / f"{uid}.json").write_text(annotation(SeriesInstanceUID=uid))
    with pytest.raises(MosmedError, match="more than one series"):
        agreed_points(tmp_path, SHAPE, np.eye(4), AXIAL)


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
        ("{}", "one.json: not a MosMed annotation"),
        ("[" * 100_000, "one.json: not a MosMed annotation"),
        (annotation({"segments": None, "type": "Th8"}), r"not \(\)"),
        (annotation({"segments": {}, "type": "Th8"}), "no segments"),
        (annotation({"segments": [[[10**400, 2, 3]] * 2] * 3, "type": "Th8"}), "no segments"),
        (annotation({"segments": SEGMENTS, "type": "Th14"}), "expert1, vertebra 1: type 'Th14'"),
        (annotation("Th8"), "expert1, vertebra 1: type None"),
        (annotation({"type": "Th8"}), "no segments"),
        (annotation({"segments": SEGMENTS[:2], "type": "Th8"}), r"not \(2, 2, 3\)"),
        (annotation({"segments": [[[1, 2, "x"], [1, 2, 3]]] * 3, "type": "Th8"}), "no segments"),
        (
            annotation(Annotation={"expert1": [{"segments": SEGMENTS, "type": "Th8"}] * 2}),
            "vertebra 2: Th8 is listed twice",
        ),
        (annotation(Annotation={"expert1": 5}), "expert1 has no list"),
    ],
)
def test_a_file_that_is_no_annotation_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MosmedError, match=message):
        read(tmp_path, text)


def test_one_unknown_point_costs_its_vertebra_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unknown = {"segments": [[[float("nan"), 2, 3]] * 2, *SEGMENTS[1:]], "type": "Th8"}
    text = annotation(Annotation={"expert1": [unknown, {"segments": SEGMENTS, "type": "th9"}]})
    assert [reading.vertebra for reading in read(tmp_path, text)] == [16]
    assert "expert1, vertebra 1: a point is not known" in caplog.text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MosmedError, match=r"nowhere\.json: cannot be read"):
        read_annotations(tmp_path / "nowhere.json")


def test_archives_that_are_damaged_or_encrypted_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "good.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", annotation({"segments": SEGMENTS, "type": "Th8"}) * 20)
    good = (tmp_path / "good.zip").read_bytes()
    torn, locked = bytearray(good), bytearray(good)
    torn[60:70] = b"\xff" * 10
    locked[6] |= 1  # the flag of an encrypted member, here and in the directory at the end
    locked[good.index(b"PK\x01\x02") + 8] |= 1
    turned = bytearray(good)
    turned[14] ^= 1  # of the member's checksum, here and in the directory
    turned[good.index(b"PK\x01\x02") + 16] ^= 1
    for name, data in {"torn.zip": torn, "locked.zip": locked, "turned.zip": turned}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MosmedError, match=rf"{name}: cannot be read"):
            read_annotations(tmp_path / name)
