"""How a collapse looks: columns true to its name, and where endplates, walls and clefts fail as published."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vertegrade.fractures.collapse import COLUMN, PLANE_HALF, Cleft, Fracture, cleft_distance, draw_fracture, plane
from vertegrade.tables import SHAPES

HALF_WIDTH, HALF_DEPTH = 21.0, 16.0
NUMBER = 120


def draw(shape: str, loss: float, number: int = NUMBER) -> list[Fracture]:
    rng = np.random.default_rng(round(100 * loss))
    return [draw_fracture(rng, HALF_WIDTH, HALF_DEPTH, 0.1, loss, shape) for _ in range(number)]


def columns(fracture: Fracture) -> NDArray[np.float64]:
    """Relative loss of the anterior, middle and posterior column."""
    along = np.arange(-PLANE_HALF, PLANE_HALF + 1) / HALF_DEPTH
    return np.interp([COLUMN, 0, -COLUMN], along, fracture.displacement[PLANE_HALF])


def deepest(fracture: Fracture) -> float:
    """Where the superior endplate came down most, from -1 (behind) to 1 (in front)."""
    right, anterior = plane()
    inside = (right / HALF_WIDTH) ** 2 + (anterior / HALF_DEPTH) ** 2 < 0.9
    lost = np.where(inside, fracture.displacement * fracture.superior_share, -1)
    return float(anterior.ravel()[lost.argmax()] / HALF_DEPTH)


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.55])
def test_columns_fit_the_name(loss: float) -> None:
    wedge, biconcave, crush = (np.array([columns(f) for f in draw(shape, loss, 40)]) for shape in SHAPES)
    np.testing.assert_allclose(np.concatenate([wedge, biconcave, crush]).max(axis=1), 1, atol=1e-5)
    assert np.all(wedge.argmax(axis=1) == 0)
    assert np.all(biconcave.argmax(axis=1) == 1)
    assert biconcave[:, 0].max() < 0.85
    assert max(wedge[:, 2].max(), biconcave[:, 2].max()) < 0.45  # the posterior wall stays
    assert crush[:, 2].min() > 0.69


def test_the_superior_endplate_fails_most_and_both_in_severe_ones() -> None:
    """Wang 2020: the inferior one alone in 2 %."""
    shares = {
        loss: np.array([f.superior_share[PLANE_HALF, PLANE_HALF] for f in draw("wedge", loss)]) for loss in (0.2, 0.6)
    }
    for share in shares.values():
        assert (share < 0.3).mean() < 0.08
        assert share.min() >= 0
        assert share.max() <= 1
    assert (shares[0.2] > 0.8).mean() > 0.7
    assert (shares[0.6] > 0.8).mean() < (shares[0.2] > 0.8).mean() - 0.15


def test_the_deepest_point_lies_in_the_front_half() -> None:
    """Wang 2020: of five parts from front to back 20, 45 and 20 % in the first three, the last hardly ever.

    Weighed by the shares of the shapes in VerSe'19.
    """
    parts = np.zeros(5)
    for shape, weight in zip(SHAPES, (0.37, 0.49, 0.14), strict=True):
        places = [deepest(f) for f in draw(shape, 0.3) if f.superior_share[PLANE_HALF, PLANE_HALF] > 0.4]
        fifths = np.clip((1 - np.array(places)) / 2 * 5, 0, 4).astype(int)
        parts += weight * np.bincount(fifths, minlength=5) / len(fifths)
    assert parts.argmax() == 1
    np.testing.assert_allclose(parts, [0.20, 0.45, 0.25, 0.10, 0.0], atol=0.12)


def test_the_endplate_breaks_with_a_step() -> None:
    """Somewhere the relative loss changes by a tenth and more within a millimetre, in ragged ones at least."""
    right, anterior = plane()
    inside = (right / HALF_WIDTH) ** 2 + (anterior / HALF_DEPTH) ** 2 < 0.6
    steps = np.array([np.abs(np.diff(f.displacement, axis=1))[inside[:, 1:]].max() for f in draw("biconcave", 0.3)])
    assert 0.3 < (steps > 0.1).mean() < 1


def test_the_upper_third_of_the_anterior_wall_buckles_most() -> None:
    buckles = [buckle for shape in SHAPES for f in draw(shape, 0.45) for buckle in f.buckle]
    front = np.array([b.level for b in buckles if b.angle < np.pi])
    thirds = np.histogram(front, [-1, -1 / 3, 1 / 3, 1])[0] / len(front)
    assert thirds[2] > thirds[1] > thirds[0]
    behind = {shape: any(b.angle > np.pi for f in draw(shape, 0.45) for b in f.buckle) for shape in SHAPES}
    assert behind == {"wedge": False, "biconcave": False, "crush": True}


def test_clefts_are_of_severe_fractures() -> None:
    found = {loss: [f.cleft for f in draw("wedge", loss) if f.cleft] for loss in (0.2, 0.3, 0.5)}
    assert not found[0.2]
    assert 0 < len(found[0.3]) < len(found[0.5])
    assert 0.15 < len(found[0.5]) / NUMBER < 0.45
    assert all(cleft.anterior > 0 and cleft.level > 0.5 for cleft in found[0.5])
    gas = np.mean([cleft.hu < -400 for cleft in found[0.5]])
    assert 0.2 < gas < 0.8


def test_a_cleft_is_a_lens_between_the_endplates() -> None:
    cleft = Cleft(right=0, anterior=4, half_width=8, half_depth=6, level=0.7, thickness=0.2, hu=-700)
    places = np.array([[0, 4, 4], [0, 4, 5.9], [0, 4, 6.1], [0, 9.9, 4], [0, 10.1, 4]], np.float32)
    top, bottom = np.full(5, 10, np.float32), np.full(5, -10, np.float32)
    distance = cleft_distance(cleft, places[:, 0], places[:, 1], places[:, 2], top, bottom)
    np.testing.assert_allclose(distance[:3], [-2, -0.1, 0.1], atol=1e-4)
    assert (distance[3:] < 0).tolist() == [True, False]


def test_the_same_seed_draws_the_same_collapse() -> None:
    first, second = draw("crush", 0.5, 1)[0], draw("crush", 0.5, 1)[0]
    assert first.displacement.tobytes() == second.displacement.tobytes()
    assert (first.buckle, first.cleft, first.widening) == (second.buckle, second.cleft, second.widening)
