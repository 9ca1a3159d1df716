"""What is drawn agrees with what is said to be true."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from vertegrade.fractures.collapse import PLANE_HALF, Cleft
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.person import GRADED, Patient, Vertebra
from vertegrade.phantom.anatomy.render import render
from vertegrade.phantom.truth import truth_table
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.tables import HEIGHTS, PHANTOM_TRUTH, check_table

FINE_MM = 0.7


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    return [draw_patient(f"ph{n:04d}", PhantomSettings(), 1) for n in range(1, 9)]


def around(vertebra: Vertebra, half_mm: float = 32.0) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Origin and shape of a small fine grid around a body."""
    count = int(2 * half_mm / FINE_MM)
    return vertebra.pose.origin - half_mm, (count, count, count)


def measured_heights(hu: NDArray[np.float32], origin: NDArray[np.float64], row: pd.Series) -> NDArray[np.float64]:
    """Heights between the outer half maxima of both endplates, along the lines between the true points (mm)."""
    heights = []
    reach = np.arange(-2.5, 3.51, 0.05)
    for column in HEIGHTS:
        ends = np.array(
            [[row[f"{column}_{end}_{axis}_mm"] for axis in "xyz"] for end in ("superior", "inferior")], dtype=float
        )
        outwards = (ends[0] - ends[1]) / np.linalg.norm(ends[0] - ends[1])
        length = np.linalg.norm(ends[0] - ends[1])
        for end, direction in zip(ends, (outwards, -outwards), strict=True):
            points = (end + reach[:, None] * direction - origin) / FINE_MM
            profile = ndimage.map_coordinates(hu, points.T, order=1)
            peak = int(profile[reach < 1.2].argmax())
            outer = profile[peak:]
            half = (profile[peak] + outer.min()) / 2
            length += reach[peak + int(np.argmax(outer < half))]
        heights.append(length)
    return np.array(heights)


def chosen(patients: list[Patient], fractured: bool) -> list[tuple[Patient, Vertebra]]:
    """A few vertebrae with dense enough bone to measure by half maximum, fractured or free of everything."""
    found = [
        (p, v)
        for p in patients
        for v in p.vertebrae
        if v.label in GRADED and (v.genant_grade > 0 if fractured else not v.finding and not v.height_loss)
    ]
    return found[:: max(1, len(found) // 6)][:6]


@pytest.mark.parametrize("fractured", [False, True])
def test_heights_in_the_image_are_the_true_ones(patients: list[Patient], fractured: bool) -> None:
    errors = []
    for patient, vertebra in chosen(patients, fractured):
        origin, shape = around(vertebra)
        hu, _ = render(patient, origin, shape, (FINE_MM,) * 3)
        truth = truth_table(patient, origin, shape, (FINE_MM,) * 3, "scan-1").set_index("vertebra")
        row = truth.loc[vertebra.label]
        true = row[[f"height_{column}_mm" for column in HEIGHTS]].to_numpy(float)
        errors.append(measured_heights(hu, origin, row) - true)
    assert np.abs(errors).max() < 1.2
    assert np.abs(errors).mean() < 0.5
    assert np.quantile(np.abs(errors), 0.9) < 0.7


def test_points_and_heights_of_the_truth_agree(patients: list[Patient]) -> None:
    patient = patients[0]
    box = patient.extent(8, 24)
    shape = tuple(int(n) for n in np.ceil(box[:, 1] - box[:, 0]) + 20)
    truth = truth_table(patient, box[:, 0] - 10, (shape[0], shape[1], shape[2]), (1, 1, 1), "scan-1")
    assert truth.vertebra.tolist() == list(GRADED)
    assert truth.complete.all()
    for column in HEIGHTS:
        ends = [truth[[f"{column}_{end}_{axis}_mm" for axis in "xyz"]].to_numpy() for end in ("superior", "inferior")]
        np.testing.assert_allclose(np.linalg.norm(ends[0] - ends[1], axis=1), truth[f"height_{column}_mm"], rtol=1e-6)
    check_table(truth, PHANTOM_TRUTH, "truth")


def test_truth_holds_only_what_the_grid_shows(patients: list[Patient]) -> None:
    vertebra = next(v for v in patients[0].vertebrae if v.label == 20)
    origin, shape = vertebra.pose.origin - [20, 30, 0], (40, 60, 40)
    truth = truth_table(patients[0], origin - [0, 0, 5], shape, (1, 1, 1), "scan-1").set_index("vertebra")
    assert 20 in truth.index
    assert not truth.loc[20, "complete"]
    assert 22 not in truth.index


def test_a_grid_beside_the_spine_has_no_truth(patients: list[Patient]) -> None:
    truth = truth_table(patients[0], (500, 0, 0), (9, 9, 9), (1, 1, 1), "scan-1")
    assert truth.empty
    assert list(truth.columns) == list(PHANTOM_TRUTH.columns)


def test_mask_names_body_and_processes(patients: list[Patient]) -> None:
    vertebra = next(v for v in patients[1].vertebrae if v.label == 21)
    origin, shape = vertebra.pose.origin - [50, 75, 45], (100, 105, 90)
    _, mask = render(patients[1], origin, shape, (1, 1, 1))
    voxels = np.argwhere(mask == 21)
    behind_body = voxels[:, 1] < 75 - vertebra.body.half_depth - 3
    assert 25_000 < len(voxels) < 80_000  # mm3; verse014's L1-L5 have 22000-31000 voxels of 2 mm3
    assert 0.2 < behind_body.mean() < 0.6
    pieces = np.bincount(ndimage.label(mask == 21)[0].ravel())[1:]
    assert pieces.max() > 0.999 * pieces.sum()  # the joint above may cut off a voxel of a process


def test_mask_and_bone_go_together(patients: list[Patient]) -> None:
    vertebra = next(v for v in patients[1].vertebrae if v.label == 21)
    hu, mask = render(patients[1], *around(vertebra), (FINE_MM,) * 3)
    rim = (mask == 21) & ~ndimage.binary_erosion(mask == 21, iterations=2)
    core = ndimage.binary_erosion(mask == 21, iterations=5)
    assert hu[rim].mean() > hu[core].mean() + 100
    assert hu[core].mean() == pytest.approx(vertebra.material.trabecular_hu, abs=60)


def test_bone_is_denser_under_the_endplates(patients: list[Patient]) -> None:
    more = []
    for patient, vertebra in chosen(patients, fractured=False):
        origin, shape = around(vertebra)
        hu, _ = render(patient, origin, shape, (FINE_MM,) * 3)
        top = vertebra.body.top[PLANE_HALF, PLANE_HALF]
        depths = np.array([[0, 0, top - 2.0], [0, 0, top - 7.0]])[:, None] + np.mgrid[-4:5, -4:5, 0:1].reshape(3, -1).T
        places = (vertebra.pose.world(depths) - origin) / FINE_MM
        under, middle = ndimage.map_coordinates(hu, np.moveaxis(places, -1, 0), order=1).mean(axis=1)
        more.append(under - middle)
    assert np.mean(more) > 30


def test_a_cleft_is_painted_within_its_body(patients: list[Patient]) -> None:
    patient = patients[1]
    vertebra = next(v for v in patient.vertebrae if v.label == 21)
    cleft = Cleft(right=0, anterior=4, half_width=10, half_depth=7, level=0.6, thickness=0.2, hu=-700)
    broken = replace(vertebra, body=replace(vertebra.body, cleft=cleft))
    spine = tuple(broken if v is vertebra else v for v in patient.vertebrae)
    origin, shape = around(vertebra)
    sound, mask = render(patient, origin, shape, (FINE_MM,) * 3)
    hu, same = render(replace(patient, vertebrae=spine), origin, shape, (FINE_MM,) * 3)
    changed = np.argwhere(np.abs(hu - sound) > 1)
    local = (origin + changed * FINE_MM - vertebra.pose.origin) @ vertebra.pose.axes.T
    assert np.abs(local[:, 0]).max() < 10 + 2 * FINE_MM
    assert -3 - 2 * FINE_MM < local[:, 1].min() < local[:, 1].max() < 11 + 2 * FINE_MM
    assert hu.min() == pytest.approx(-700, abs=20)
    np.testing.assert_array_equal(mask, same)


def test_canal_is_open(patients: list[Patient]) -> None:
    vertebra = next(v for v in patients[1].vertebrae if v.label == 21)
    origin, shape = around(vertebra)
    hu, mask = render(patients[1], origin, shape, (FINE_MM,) * 3)
    canal = vertebra.pose.world(np.array([0.0, -0.9 * vertebra.body.half_depth - 8, 0.0]))
    i, j, k = np.rint((canal - origin) / FINE_MM).astype(int)
    assert not mask[i - 2 : i + 3, j - 2 : j + 3, k - 2 : k + 3].any()
    assert hu[i, j, k] < 120


def test_rendering_twice_gives_the_same_bytes(patients: list[Patient]) -> None:
    grid = (patients[2].extent(20, 21)[:, 0], (60, 60, 60), (1.0, 1.0, 1.0))
    first, second = (render(patients[2], *grid) for _ in range(2))
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


def test_a_larger_grid_shows_the_same_patient(patients: list[Patient]) -> None:
    origin = patients[2].extent(20, 21)[:, 0]
    small = render(patients[2], origin, (50, 50, 40), (1, 1, 1))
    large = render(patients[2], origin - 20, (90, 90, 80), (1, 1, 1))
    np.testing.assert_allclose(large[0][20:70, 20:70, 20:60], small[0], atol=0.5)
    np.testing.assert_array_equal(large[1][20:70, 20:70, 20:60], small[1])


def test_anisotropic_grids_place_the_bone_alike(patients: list[Patient]) -> None:
    vertebra = next(v for v in patients[1].vertebrae if v.label == 19)
    origin = vertebra.pose.origin - 30
    _, fine = render(patients[1], origin, (60, 60, 60), (1, 1, 1))
    _, thick = render(patients[1], origin, (60, 60, 20), (1, 1, 3))
    assert (fine[:, :, ::3] == thick).mean() > 0.998
