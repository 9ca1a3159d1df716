"""Heights of vertebrae from their masks: bodies of known size, phantoms with known truth, real masks."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from vertegrade.ct.volume import to_ras
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.render import render
from vertegrade.phantom.truth import truth_table
from vertegrade.settings import Settings
from vertegrade.spine.morphometry import measure_mask
from vertegrade.tables import HEIGHTS, POINT_COLUMNS

MASKS = Path(__file__).parents[3] / "shared" / "data" / "vertebra_masks"


def wedge(
    spacing: tuple[float, float, float],
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
    lip_mm: float = 0.0,
    arch: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """A body 44 x 30 mm, 20 mm high in front and 26 mm behind, with a waist and perhaps an arch; labels (20), affine.

    lip_mm: an osteophyte juts out in front of the superior rim.
    """
    shape = tuple(int(np.ceil(size / step)) for size, step in zip((80, 110, 90), spacing, strict=True))
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1) * spacing - [40, 80, 45]
    pitch, roll = np.radians([pitch_deg, roll_deg])
    up = np.array([np.sin(roll), np.sin(pitch) * np.cos(roll), np.cos(pitch) * np.cos(roll)])
    forward = np.array([0, np.cos(pitch), -np.sin(pitch)])
    forward -= up * (forward @ up)
    forward /= np.linalg.norm(forward)
    right, front, height = (grid @ axis for axis in (np.cross(forward, up), forward, up))
    half = 11.5 - 0.1 * front
    wall = 15 - 1.5 * np.clip(1 - (height / half) ** 2, 0, 1)
    lip = lip_mm * ((height > half - 3) & (np.abs(right) < 8))
    body = (np.abs(right) < wall + 7) & (front > -wall) & (front < wall + lip) & (np.abs(height) < half)
    canal = np.hypot(right, front + 22) < 8
    behind = (front <= -wall) & (front > -55) & (np.abs(right) < 16) & (height < 5) & (height > -10) & ~canal
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-40, -80, -45]
    return (body | (behind & arch)).astype(np.uint8) * 20, affine


# Heights of the wedge at 0.92, 0.47 and 0.07 of its depth from behind: 23 - 0.2 x (mm before the middle).
EXPECTED = [20.5, 23.2, 25.6]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.0), (3.0, 0.7, 0.7)], ids=str)
@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (35, 0), (-20, 12)])
def test_heights_do_not_depend_on_voxels_or_tilt(
    spacing: tuple[float, float, float], pitch: float, roll: float
) -> None:
    measure = measure_mask(*wedge(spacing, pitch, roll), 20)
    assert measure.reason == ""
    np.testing.assert_allclose(measure.heights_mm, EXPECTED, atol=max(1.0, 0.9 * spacing[2]))
    np.testing.assert_allclose(measure.tilt_deg, [pitch, roll], atol=3)
    assert measure.depth_mm == pytest.approx(30, abs=2.5)


def test_points_are_the_ends_of_the_heights_head_before_feet_front_before_back() -> None:
    measure = measure_mask(*wedge((1.0, 1.0, 1.0)), 20)
    points = measure.points_mm.reshape(3, 2, 3)
    np.testing.assert_allclose(np.linalg.norm(points[:, 0] - points[:, 1], axis=1), measure.heights_mm)
    assert (points[:, 0, 2] > points[:, 1, 2]).all()
    assert (np.diff(points[:, 0, 1]) < 0).all()
    np.testing.assert_allclose(points[:, :, 0], 0, atol=1)


def test_an_osteophyte_does_not_move_the_anterior_height_off_the_body() -> None:
    measure = measure_mask(*wedge((1.0, 1.0, 1.0), lip_mm=8.0), 20)
    np.testing.assert_allclose(measure.heights_mm, EXPECTED, atol=1.0)


def test_a_mask_of_the_body_alone_is_measured_alike() -> None:
    whole, alone = (measure_mask(*wedge((1.0, 1.0, 1.0), 10, arch=arch), 20) for arch in (True, False))
    np.testing.assert_allclose(whole.heights_mm, alone.heights_mm, atol=0.7)


def test_a_body_cut_by_the_scan_s_edge_has_a_reason_and_no_numbers() -> None:
    labels, affine = wedge((1.0, 1.0, 1.0))
    measure = measure_mask(labels[:, :, :50], affine, 20)
    assert measure.reason == "cut_by_scan_edge"
    assert np.isnan(measure.points_mm).all()


def test_scraps_and_arches_have_reasons() -> None:
    labels, affine = wedge((1.0, 1.0, 1.0))
    scrap = np.zeros_like(labels)
    scrap[40:43, 60:63, 40:43] = 20
    assert measure_mask(scrap, affine, 20).reason == "mask_too_small"
    flat = np.zeros_like(labels)
    flat[20:60, 60:90, 45] = 20
    assert measure_mask(flat, affine, 20).reason == "no_body"


def test_a_label_that_is_not_there_is_an_error_that_names_what_is() -> None:
    with pytest.raises(ValueError, match=r"label 21 is not in the mask; it contains \[0, 20\]"):
        measure_mask(*wedge((1.0, 1.0, 1.0)), 21)


def test_heights_of_a_phantom_are_its_truth_to_0_8_mm() -> None:
    patient = draw_patient("ph0003", Settings().phantom, 0)
    places = np.array([vertebra.pose.origin for vertebra in patient.vertebrae if 15 <= vertebra.label <= 21])
    spacing = np.array([0.9, 0.9, 1.25])
    origin = places.min(axis=0) - [40, 70, 20]
    size = places.max(axis=0) - origin + np.array([40, 30, 20])
    shape = tuple(int(n) for n in np.ceil(size / spacing))
    _, labels = render(patient, origin, (shape[0], shape[1], shape[2]), spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    truth = truth_table(patient, origin, (shape[0], shape[1], shape[2]), spacing, "s1")
    truth = truth[truth["complete"]]
    measures = [measure_mask(labels, affine, label) for label in truth["vertebra"]]
    error = np.array([measure.heights_mm for measure in measures]) - truth[[f"height_{name}_mm" for name in HEIGHTS]]
    assert len(truth) >= 6
    assert np.abs(error.to_numpy()).mean() < 0.8
    points = np.array([measure.points_mm for measure in measures]) - truth[POINT_COLUMNS].to_numpy().reshape(-1, 6, 3)
    assert np.linalg.norm(points, axis=-1).mean() < 1.5


# Read by eye off mid-sagittal pictures: see docs/design/heights.md.
READ = {
    ("verse004", 21): (29.6, 25.9, 27.6),
    ("verse010", 24): (30.4, 24.4, 24.7),
    ("sample001", 20): (24.4, 15.8, 26.2),
    ("healthivert0007", 22): (24.7, 15.4, 22.9),
}


@pytest.mark.shared
@pytest.mark.skipif(not MASKS.is_dir(), reason=f"the real masks of {MASKS} are not on this machine")
@pytest.mark.parametrize(("name", "label"), READ)
def test_heights_of_real_masks_agree_with_reading_by_hand(name: str, label: int) -> None:
    image = nib.load(MASKS / f"sub-{name}_seg-vert_msk.nii.gz")
    labels, affine = to_ras(np.asanyarray(image.dataobj), image.affine)
    np.testing.assert_allclose(measure_mask(labels, affine, label).heights_mm, READ[name, label], atol=1.5)


def dust(shape: tuple[int, int, int]) -> np.ndarray:
    return (np.random.default_rng(0).random(shape) < 0.2).astype(np.uint8) * 20


def plate(shape: tuple[int, int, int], axis: int) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    np.moveaxis(labels, axis, 0)[20] = 20
    return labels


BLOCKS = {name: np.full(shape, 20, np.uint8) for name, shape in {"rod": (4, 4, 60), "too high": (60, 40, 56)}.items()}


@pytest.mark.parametrize(
    "labels",
    [dust((50, 40, 30)), *[plate((40, 44, 48), axis) for axis in range(3)], *BLOCKS.values()],
    ids=["dust", "sagittal plate", "coronal plate", "axial plate", *BLOCKS],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # an axis without direction
def test_what_is_no_body_is_told_to_be_none(labels: np.ndarray) -> None:
    measure = measure_mask(np.pad(labels, 3), np.eye(4), 20)
    assert measure.reason == "no_body"
    assert np.isnan(measure.heights_mm).all()


def test_a_body_of_even_height_is_a_body() -> None:
    labels = np.pad(np.full((44, 34, 24), 20, np.uint8), 3)
    np.testing.assert_allclose(measure_mask(labels, np.eye(4), 20).heights_mm, 24, atol=1.0)


@pytest.mark.parametrize(("before", "after"), [(3, 0), (0, 3)])
def test_a_body_at_either_end_of_the_scan_is_cut(before: int, after: int) -> None:
    labels = np.pad(np.full((44, 34, 24), 20, np.uint8), ((3, 3), (3, 3), (before, after)))
    assert measure_mask(labels, np.eye(4), 20).reason == "cut_by_scan_edge"
