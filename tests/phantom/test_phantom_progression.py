"""Second scans of phantom patients: what progresses keeps its form, and what does not is the same vertebra."""

import numpy as np
import pytest

from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.person import Patient
from vertegrade.phantom.roster import FOLLOW_UP_MONTHS, phantom_rows
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.spine.heights import genant_grade

SETTINGS = PhantomSettings()


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Patient, Patient]]:
    return [
        tuple(draw_patient(f"ph{n:04d}", SETTINGS, 1, later) for later in (False, True))  # type: ignore[misc]
        for n in (1, 13, 17, 14)
    ]


def test_vertebrae_that_nothing_happens_to_are_the_same_body(pairs: list[tuple[Patient, Patient]]) -> None:
    same = 0
    for before, after in pairs:
        assert (before.seed, before.person, before.levels) == (after.seed, after.person, after.levels)
        for first, second in zip(before.vertebrae, after.vertebrae, strict=True):
            assert np.array_equal(first.healthy_heights, second.healthy_heights)
            assert np.array_equal(first.rods, second.rods)
            if first.height_loss == second.height_loss:
                same += 1
                assert np.array_equal(first.body.top, second.body.top)
                assert first.finding == second.finding
    assert same > 40


def test_new_fractures_come_progressed_ones_deepen_and_nothing_heals(pairs: list[tuple[Patient, Patient]]) -> None:
    new, deeper, small = [], [], []
    for before, after in pairs:
        for first, second in zip(before.vertebrae, after.vertebrae, strict=True):
            further = float((1 - second.body.heights() / first.body.heights()).max())
            assert further > -1e-9
            if further < 1e-9:
                continue
            assert second.genant_grade == genant_grade(second.height_loss)
            if first.genant_grade:
                assert first.shape == second.shape
                deeper.append(further)
            else:
                (new if second.genant_grade else small).append(further)
                assert ("subthreshold" in second.finding) == (second.genant_grade == 0)
    assert min(new) >= 0.15
    assert min(deeper) > 0.05
    assert max(deeper) < 0.36
    assert max(small) < 0.2
    assert (len(new) >= 5, len(deeper) >= 3, len(small) >= 3) == (True, True, True)


def test_some_patients_do_not_change(pairs: list[tuple[Patient, Patient]]) -> None:
    before, after = pairs[3]
    assert all(a.height_loss == b.height_loss for a, b in zip(before.vertebrae, after.vertebrae, strict=True))


def test_patients_with_follow_up_have_months_and_the_others_stay_as_they_are() -> None:
    plain = phantom_rows(PhantomSettings(patients=40), 4, "results")
    assert {row.months for row in plain} == {""}
    rows = phantom_rows(PhantomSettings(patients=40, follow_up=0.3), 4, "results")
    followed = {row.patient_id for row in rows if row.months}
    assert 5 < len(followed) < 20
    assert [row for row in rows if not row.months] == [row for row in plain if row.patient_id not in followed]
    for patient in followed:
        first, second = (row for row in rows if row.patient_id == patient)
        assert first.months == "0"
        assert FOLLOW_UP_MONTHS[0] <= int(second.months) <= FOLLOW_UP_MONTHS[1]
