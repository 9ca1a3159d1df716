"""A cleft is painted into the collapsed body, with its volume, in thin and in thick slices of any direction."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vertegrade.fractures.collapse import Cleft, draw_fracture
from vertegrade.virtual_fractures.body import RealBody
from vertegrade.virtual_fractures.clefts import paint_clefts
from vertegrade.virtual_fractures.collapse import Collapse, collapse
from vertegrade.virtual_fractures.spine import Link

BONE, GAS = 150, -700
CLEFT = Cleft(right=1.0, anterior=4.0, half_width=10.0, half_depth=7.0, level=0.6, thickness=0.25, hu=GAS)
POSE = np.eye(4)
POSE[:3, :3] = Rotation.from_euler("x", 15, degrees=True).as_matrix()
POSE[:3, 3] = [3.0, -2.0, 5.0]


def collapsed(cleft: Cleft | None) -> Collapse:
    ends = np.array([[13.0, 13.0, 13.0], [-13.0, -13.0, -13.0]])
    body = RealBody(20, POSE, np.array([13.0, 0.0, -13.0]), ends, 21.0, 16.0, 0.0)
    fracture = draw_fracture(np.random.default_rng(0), 21.0, 16.0, 0.1, 0.4, "wedge")
    return collapse(body, replace(fracture, cleft=cleft), 2.0, squeezed=0.5, density=1.0)


def painted(spacing: tuple[float, float, float], cleft: Cleft | None) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -40.0
    hu = np.full([int(80 / step) for step in spacing], BONE, np.int16)
    made = collapsed(cleft)
    paint_clefts(hu, affine, [Link(made.body, POSE, None), Link(made.body, POSE, made)])
    return hu, affine


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 0.8), (0.7, 0.7, 4.0), (3.0, 0.7, 0.7)])
def test_a_cleft_has_its_volume_and_its_place(spacing: tuple[float, float, float]) -> None:
    hu, affine = painted(spacing, CLEFT)
    share = (BONE - hu.astype(float)) / (BONE - GAS)
    assert share.min() >= 0
    made = collapsed(CLEFT)
    here = np.array([1.0]), np.array([4.0])
    top, bottom = (float(made.new_surface(end, *here)[0]) for end in (0, 1))
    lens = np.pi / 2 * CLEFT.half_width * CLEFT.half_depth * CLEFT.thickness * (top - bottom)
    assert share.sum() * np.prod(spacing) == pytest.approx(lens, rel=0.12)
    centre = np.argwhere(share > 0.01).astype(float)
    middle = np.average(centre, axis=0, weights=share[share > 0.01]) @ affine[:3, :3].T + affine[:3, 3]
    local = (middle - POSE[:3, 3]) @ POSE[:3, :3]
    np.testing.assert_allclose(local, [1.0, 4.0, bottom + CLEFT.level * (top - bottom)], atol=1.0)


def test_without_a_cleft_nothing_is_painted() -> None:
    assert (painted((1.0, 1.0, 1.0), None)[0] == BONE).all()


def test_a_cleft_above_the_scan_is_left_out() -> None:
    hu = np.full((40, 40, 3), BONE, np.int16)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [-20.0, -20.0, -40.0]
    paint_clefts(hu, affine, [Link(collapsed(CLEFT).body, POSE, collapsed(CLEFT))])
    assert (hu == BONE).all()
