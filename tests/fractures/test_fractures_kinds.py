"""Phantom patients' fractures have level, grade and shape together as VerSe'19's readers found them."""

from collections import Counter

import numpy as np
import pytest

from helpers.shared import SHARED, needs_shared
from vertegrade.cohort.verse19 import read_verse19
from vertegrade.fractures.kinds import LOSSES, counts, draw_loss, kinds, share_fractured
from vertegrade.level_texts import REGIONS, region
from vertegrade.levels import LABEL_OF
from vertegrade.phantom.anatomy.fracture import draw_fractures
from vertegrade.phantom.anatomy.person import GRADED
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.spine.heights import genant_grade
from vertegrade.tables import SHAPES

PATIENTS = 4000
DRAWN = [name for name in REGIONS if name != "C1-C7"]


@pytest.fixture(scope="module")
def drawn() -> Counter[tuple[int, int, str]]:
    """Fractures of a large cohort, by label, grade and shape."""
    rng = np.random.default_rng(19)
    settings = PhantomSettings()
    fractured = rng.random(PATIENTS) < settings.fractured_patients
    cohort = [draw_fractures(rng, GRADED, settings.fractures_per_patient) for ill in fractured if ill]
    return Counter((label, genant_grade(loss), shape) for one in cohort for label, (loss, shape) in one.items())


@pytest.fixture(scope="module")
def sheet() -> Counter[tuple[int, int, str]]:
    """Fractures of VerSe'19, by label, grade and shape."""
    return Counter(
        {
            (label, grade, shape): int(table[grade, column])
            for label, table in counts().items()
            for grade in (1, 2, 3)
            for column, shape in enumerate(SHAPES)
        }
    )


def shares(fractures: Counter[tuple[int, int, str]], where: str, what: str) -> dict[tuple[object, object], float]:
    """Share of each kind of `what` within each kind of `where`."""
    table: Counter[tuple[object, object]] = Counter()
    for (label, grade, shape), number in fractures.items():
        named = {"region": region(label), "grade": grade, "shape": shape}
        table[named[where], named[what]] += number
    sums: Counter[object] = Counter()
    for (row, _), number in table.items():
        sums[row] += number
    return {cell: number / sums[cell[0]] for cell, number in table.items()}


def test_the_sheet_is_the_published_one(sheet: Counter[tuple[int, int, str]]) -> None:
    """Löffler 2020: 289 fractures with a grade, L1 most often."""
    assert sum(sheet.values()) == 289
    assert max(GRADED, key=share_fractured) == LABEL_OF["L1"]
    assert share_fractured(LABEL_OF["L1"]) == pytest.approx(47 / 124)
    assert share_fractured(LABEL_OF["T13"]) == share_fractured(LABEL_OF["T12"])
    assert share_fractured(LABEL_OF["L6"]) == share_fractured(LABEL_OF["L5"])


@needs_shared
@pytest.mark.shared
def test_the_table_is_that_of_the_sheet() -> None:
    labels = read_verse19(SHARED / "loeffler2020/ryai190138_appendixe1.xlsx").table
    labels = labels[labels["usable"]]
    names = {(label, shape): number for (label, shape), number in labels.groupby(["vertebra", "shape"]).size().items()}
    table = {(n, shape): int(c[1:, i].sum()) for n, c in counts().items() for i, shape in enumerate(SHAPES)}
    assert {cell: number for cell, number in table.items() if number} == {c: n for c, n in names.items() if c[1]}
    graded = labels.groupby("genant_grade").size()
    assert np.sum(list(counts().values()), axis=0).sum(axis=1).tolist() == graded.tolist()


@pytest.mark.parametrize(("where", "what"), [("grade", "shape"), ("region", "shape"), ("region", "grade")])
def test_every_cell_is_within_ten_points_of_the_sheet(
    drawn: Counter[tuple[int, int, str]], sheet: Counter[tuple[int, int, str]], where: str, what: str
) -> None:
    have, want = shares(drawn, where, what), shares(sheet, where, what)
    assert {cell: have.get(cell, 0.0) for cell in want} == pytest.approx(want, abs=0.10)


def test_every_level_fractures_as_often_as_in_the_sheet(drawn: Counter[tuple[int, int, str]]) -> None:
    fractured: Counter[int] = Counter()
    for (label, _, _), number in drawn.items():
        fractured[label] += number
    have = {label: fractured[label] / PATIENTS for label in GRADED}
    assert have == pytest.approx({label: share_fractured(label) for label in GRADED}, abs=0.10)


def test_grades_are_as_frequent_as_in_the_sheet(drawn: Counter[tuple[int, int, str]]) -> None:
    grades = np.array([sum(n for (_, grade, _), n in drawn.items() if grade == g) for g in (1, 2, 3)])
    np.testing.assert_allclose(grades / grades.sum(), [0.49, 0.33, 0.18], atol=0.04)


@pytest.mark.parametrize("mean", [1.0, 3.0, 5.2])
def test_a_fractured_patient_has_as_many_fractures_as_asked_for(mean: float) -> None:
    rng = np.random.default_rng(1)
    numbers = [len(draw_fractures(rng, GRADED, mean)) for _ in range(1500)]
    assert min(numbers) == 1
    assert np.mean(numbers) == pytest.approx(mean, rel=0.08)


def test_fractures_of_a_patient_are_alike_and_lie_together() -> None:
    rng = np.random.default_rng(2)
    cohort = [draw_fractures(rng, GRADED, 4.0) for _ in range(1500)]
    pairs = np.array([rng.permutation([loss for loss, _ in one.values()])[:2] for one in cohort if len(one) > 1])
    assert np.corrcoef(pairs.T)[0, 1] > 0.2
    seen = np.array([[label in one for label in GRADED] for one in cohort], float)
    link = np.corrcoef(seen.T)
    near, far = np.diag(link, 1), [link[i, j] for i in range(17) for j in range(i + 4, 17)]
    assert near.mean() > np.mean(far) + 0.05


@pytest.mark.parametrize("where", DRAWN)
def test_losses_rise_with_severity_within_their_limits(where: str) -> None:
    label = LABEL_OF[REGIONS[where]]
    losses = [draw_loss(label, severity) for severity in np.linspace(-5, 5, 200)]
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(LOSSES[1][0], abs=1e-4)
    assert LOSSES[3][0] < losses[-1] < LOSSES[3][1]
    assert kinds(where).sum() == pytest.approx(1)


def test_no_mild_fracture_is_a_crush() -> None:
    assert all(kinds(where)[0, SHAPES.index("crush")] == 0 for where in DRAWN)
