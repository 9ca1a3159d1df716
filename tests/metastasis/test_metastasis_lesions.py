"""What is told of a phantom's lesions is what was drawn of them, voxel by voxel."""

import numpy as np
import pytest

from helpers.lesions import L2, ball, drawing, patient, vertebra
from vertegrade.metastasis.classes import PHANTOM_LESIONS
from vertegrade.metastasis.phantoms.lesions import PEDICLE, Lesion, draw_lesions
from vertegrade.metastasis.phantoms.paint import BLASTIC, LEFT, LYTIC, RIGHT, paint_lesions, truth_of
from vertegrade.metastasis.slices import CODES, phantom_label, slice_answers
from vertegrade.phantom.anatomy.person import is_graded
from vertegrade.settings.metastasis import BoneSliceSettings, LesionPhantomSettings

SETTINGS = LesionPhantomSettings()


def painted(*lesions: Lesion) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """HU after and change of HU, codes, and the truth of L2."""
    grid, hu, mask = drawing()
    changed = hu.copy()
    codes = paint_lesions(changed, mask, grid, patient(), {L2: lesions})
    return changed, codes, truth_of(codes, mask, L2, grid.spacing)


def pedicle(side: int) -> tuple[float, float, float]:
    rod = vertebra().rods[PEDICLE[side]].astype(float)
    right, anterior, superior = rod[:3] + 0.8 * (rod[3:6] - rod[:3])
    return right, anterior, superior


def label(truth: dict[str, float]) -> dict[str, object]:
    return phantom_label(truth | {"complete": True}, False)


def test_a_lytic_lesion_is_soft_tissue_where_its_code_is() -> None:
    _, hu, mask = drawing()
    after, codes, truth = painted(ball(False, (0, 0, 0)))
    inside = codes == LYTIC
    assert 0.8 * 4 / 3 * np.pi * 7**3 < inside.sum() < 1.05 * 4 / 3 * np.pi * 7**3
    assert truth["lytic_mm3"] == inside.sum()
    assert truth["blastic_mm3"] == truth["left_mm3"] == truth["right_mm3"] == truth["cortex_mm2"] == 0
    assert abs(np.median(after[inside]) - 40) < 40
    assert np.median(hu[inside]) > 100
    far = ~inside & (np.abs(after - hu) > 0)
    assert far.sum() < 0.4 * inside.sum()  # its margin, and nothing elsewhere
    assert (mask[far] == L2).all()
    assert label(truth)["bone_class"] == "lytic"


def test_a_blastic_lesion_is_dense() -> None:
    after, codes, truth = painted(ball(True, (3, 2, 1)))
    assert np.median(after[codes == BLASTIC]) > 650
    assert truth["blastic_mm3"] == (codes == BLASTIC).sum() > 1000
    assert label(truth)["bone_class"] == "blastic"


def test_both_are_mixed_and_the_lytic_core_counts_as_lytic() -> None:
    after, codes, truth = painted(ball(True, (0, 0, 0), 10.0), ball(False, (0, 0, 0), 5.0))
    assert label(truth)["bone_class"] == "mixed"
    assert truth["lytic_mm3"] > 400
    assert np.median(after[codes == LYTIC]) < 200
    assert not (codes == (LYTIC | BLASTIC)).any()


@pytest.mark.parametrize(("sides", "count"), [((), 0), ((-1,), 1), ((1,), 1), ((-1, 1), 2)])
def test_sides_are_the_patients_and_are_counted_in_the_posterior_elements(sides: tuple[int, ...], count: int) -> None:
    grid, _, _ = drawing()
    lesions = [ball(True, pedicle(side), 6.0, place="pedicle") for side in sides]
    _, codes, truth = painted(ball(False, (0, 6, 0), 5.0), *lesions)
    assert label(truth)["posterolateral"] == count
    assert (truth["left_mm3"] > 100, truth["right_mm3"] > 100) == (-1 in sides, 1 in sides)
    middle = vertebra().pose.origin[0]
    right_of = grid.axis(0)[np.argwhere(codes & RIGHT)[:, 0]]
    left_of = grid.axis(0)[np.argwhere(codes & LEFT)[:, 0]]
    assert (right_of > middle).all()
    assert (left_of < middle).all()


def test_cortex_stays_unless_it_is_broken() -> None:
    edge = (0.0, 0.95 * vertebra().body.half_depth, 0.0)
    _, hu, mask = drawing()
    kept, _, whole = painted(ball(False, edge, 6.0))
    broken, _, lost = painted(ball(False, edge, 6.0, breaks=True))
    assert whole["cortex_mm2"] == 0 < 30 < lost["cortex_mm2"]
    outside = mask == 0
    assert (kept[outside] == hu[outside]).all()
    assert (broken[outside] != hu[outside]).any()


def test_what_is_too_small_to_see_is_not_used() -> None:
    _, _, truth = painted(ball(False, (0, 0, 0), 2.5))
    assert 0 < truth["lytic_mm3"] < 100
    assert label(truth)["reason"] == "lesion_too_small"
    assert not label(truth)["usable"]


@pytest.mark.parametrize(
    ("left", "right", "count"), [(0, 0, 0), (99, 0, -1), (100, 0, 1), (100, 99, -1), (100, 100, 2), (1, 1, -1)]
)
def test_a_little_behind_the_body_is_neither_involved_nor_not(left: float, right: float, count: int) -> None:
    made = label({"blastic_mm3": 0.0, "lytic_mm3": 500.0, "left_mm3": left, "right_mm3": right})
    assert made["posterolateral"] == count
    assert made["usable"]
    assert made["bone_class"] == "lytic"


def test_slices_with_a_little_of_a_side_are_unknown() -> None:
    slices = np.zeros((4, 3, 10, 10), np.int16)
    for at, (left, right) in enumerate([(0, 0), (5, 0), (6, 0), (6, 6)]):  # pixels of 2.25 mm2; a side needs 12 mm2
        slices[at, CODES, 0, :left] = LYTIC | LEFT
        slices[at, CODES, 1, :right] = LYTIC | RIGHT
    known = slice_answers(slices, {"source": PHANTOM_LESIONS}, BoneSliceSettings(pixel_mm=1.5))
    assert known["posterolateral"].tolist() == [0, -1, 1, 2]
    assert known["lytic"].tolist() == [0, -1, -1, 1]


def test_lesions_follow_from_the_patient_alone() -> None:
    settings = LesionPhantomSettings(ill_patients=1.0)
    one, again = (draw_lesions(patient(), settings, 3) for _ in range(2))
    assert one == again
    assert one
    assert one != draw_lesions(patient(), settings, 4)
    assert all(is_graded(label) for label in one)
    assert draw_lesions(patient(), LesionPhantomSettings(ill_patients=0.0), 3) == {}


def test_classes_places_and_sides_all_occur() -> None:
    kinds, places, breaks = set(), set(), set()
    for seed in range(12):
        for lesions in draw_lesions(patient(), LesionPhantomSettings(ill_patients=1.0), seed).values():
            kinds.add(frozenset(lesion.blastic for lesion in lesions))
            places.add(frozenset(lesion.place for lesion in lesions))
            breaks |= {(lesion.blastic, lesion.breaks) for lesion in lesions}
    assert kinds == {frozenset({True}), frozenset({False}), frozenset({True, False})}
    assert {frozenset({"body"}), frozenset({"left"}), frozenset({"left", "right"})} <= places
    assert breaks == {(True, False), (False, False), (False, True)}
