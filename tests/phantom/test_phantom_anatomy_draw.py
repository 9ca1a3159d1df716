"""Who the phantom patients are: roster, grades, prevalence, and a spine that holds together."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vertegrade.fractures.collapse import Fracture, draw_fracture
from vertegrade.level_texts import region
from vertegrade.levels import LABEL_OF
from vertegrade.phantom.anatomy.body import BodyPlan, build_body
from vertegrade.phantom.anatomy.curve import Disc, clearance, stack
from vertegrade.phantom.anatomy.findings import uneven
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.person import GRADED, Patient
from vertegrade.phantom.roster import phantom_rows
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.spine.heights import genant_grade
from vertegrade.spine.level_statistics import level_sizes
from vertegrade.tables import SHAPES

COHORT = 90


@pytest.fixture(scope="module")
def cohort() -> list[Patient]:
    return [draw_patient(f"ph{n:04d}", PhantomSettings(), 5) for n in range(COHORT)]


@pytest.fixture
def plan() -> BodyPlan:
    """A lumbar body of round numbers."""
    waves = uneven(np.random.default_rng(0), 0.1)
    return BodyPlan(21, 16, 1.0, 26, 27, 1.2, 1.5, 0.1, waves)


def drawn(rng: np.random.Generator, plan: BodyPlan, loss: float, shape: str) -> Fracture:
    return draw_fracture(rng, plan.half_width, plan.half_depth, plan.waist, loss, shape)


def test_roster_names_scans_and_their_files() -> None:
    row = phantom_rows(PhantomSettings(patients=1, repeat_scans=0.0), 1, "out")[0]
    assert (row.patient_id, row.scan_id) == ("ph0001", "ph0001-1")
    assert row.path == "out/phantom/0/dicom/ph0001-1"
    assert row.mask == "out/phantom/0/annotations/ph0001-1_seg-vert_msk.nii.gz"
    assert row.centroids == "out/phantom/0/annotations/ph0001-1_seg-vb_ctd.json"


def test_roster_of_a_patient_does_not_change_when_the_cohort_grows() -> None:
    few, many = (phantom_rows(PhantomSettings(patients=n), 8, "out") for n in (40, 400))
    assert many[: len(few)] == few


def test_about_one_in_twenty_patients_is_scanned_twice() -> None:
    scans = Counter(row.patient_id for row in phantom_rows(PhantomSettings(patients=2000), 8, "out"))
    assert set(scans.values()) == {1, 2}
    assert np.mean([count == 2 for count in scans.values()]) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize(
    ("loss", "grade"), [(0, 0), (0.1999, 0), (0.20, 1), (0.2499, 1), (0.25, 2), (0.3999, 2), (0.40, 3), (1, 3)]
)
def test_genant_grade_has_half_open_bands(loss: float, grade: int) -> None:
    assert genant_grade(loss) == grade


@pytest.mark.parametrize("loss", [-0.01, 1.01, float("nan")])
def test_genant_grade_refuses_what_is_no_fraction(loss: float) -> None:
    with pytest.raises(ValueError, match="not a fraction"):
        genant_grade(loss)


def test_level_sizes_cover_c6_to_l5_and_grow_downwards() -> None:
    sizes = level_sizes()
    assert list(sizes) == list(range(LABEL_OF["C6"], LABEL_OF["L5"] + 1))
    assert sizes[LABEL_OF["T1"]].height_posterior_mm < sizes[LABEL_OF["T8"]].height_posterior_mm
    assert sizes[LABEL_OF["T8"]].height_posterior_mm < sizes[LABEL_OF["L2"]].height_posterior_mm


def test_the_same_patient_is_drawn_again() -> None:
    first, second = (draw_patient("ph0007", PhantomSettings(), 3) for _ in range(2))
    assert first.person == second.person
    for one, other in zip(first.vertebrae, second.vertebrae, strict=True):
        assert one.material == other.material
        np.testing.assert_array_equal(one.body.top, other.body.top)
        np.testing.assert_array_equal(one.pose.origin, other.pose.origin)


def test_another_seed_draws_another_patient() -> None:
    first, second = (draw_patient("ph0007", PhantomSettings(), seed) for seed in (3, 4))
    assert first.person != second.person


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", [0.05, 0.22, 0.39, 0.6])
def test_a_fracture_costs_exactly_its_loss(plan: BodyPlan, shape: str, loss: float) -> None:
    rng = np.random.default_rng(round(100 * loss))
    healthy = build_body(plan).heights()
    fracture = drawn(rng, plan, loss, shape)
    lost = 1 - build_body(replace(plan, fracture=fracture)).heights() / healthy
    assert lost.max() == pytest.approx(loss, abs=0.002)
    lowest = {"wedge": [0], "biconcave": [1], "crush": [0, 1, 2]}[shape]
    assert int(lost.argmax()) in lowest
    if shape != "biconcave":
        assert (lost[2] > 0.6 * loss) == (shape == "crush")


def test_a_wedge_tilts_the_spine_above_it(plan: BodyPlan) -> None:
    fracture = drawn(np.random.default_rng(1), plan, 0.4, "wedge")
    wedged = build_body(replace(plan, fracture=fracture))
    whole, still = build_body(plan), np.zeros(3)

    def kyphosis(middle: object) -> float:
        bodies = [whole, middle, whole]
        poses = stack(bodies, [Disc(6, 6)] * 3, still, still, 0.0, np.zeros((3, 2)))  # type: ignore[arg-type]
        lower, upper = poses[0].axes[2], poses[2].axes[2]
        return float(np.degrees(np.arctan2(upper[1], upper[2]) - np.arctan2(lower[1], lower[2])))

    assert kyphosis(wedged) - kyphosis(whole) > 10


def test_no_two_bodies_overlap(cohort: list[Patient]) -> None:
    for patient in cohort:
        for above, below in pairwise(patient.vertebrae):
            gap = clearance(below.body, below.pose, above.body, above.pose)
            assert gap > 0.6, f"{patient.patient_id}: {above.label} on {below.label}"


def test_the_spine_runs_downwards_from_t1_to_l5(cohort: list[Patient]) -> None:
    for patient in cohort[:20]:
        heights = [vertebra.pose.origin[2] for vertebra in patient.vertebrae]
        assert np.all(np.diff(heights) < 0)


def test_most_patients_have_t1_to_l5_and_some_are_variants() -> None:
    everyone = PhantomSettings(variants=1.0)
    assert draw_patient("ph0001", PhantomSettings(variants=0.0), 5).levels == GRADED
    seen = {draw_patient(f"ph{n:04d}", everyone, 5).levels for n in range(16)}
    without = {tuple(label for label in GRADED if label != LABEL_OF[name]) for name in ("T12", "L5")}
    t13 = (*GRADED[:12], LABEL_OF["T13"], *GRADED[12:])
    assert seen == without | {t13, (*GRADED, LABEL_OF["L6"])}


def test_a_slipped_vertebra_stands_further_forward() -> None:
    plain, slipped = (draw_patient("ph0001", PhantomSettings(variants=0.0, slips=share), 5) for share in (0.0, 1.0))

    def steps(patient: Patient) -> list[float]:
        spine = [v for v in patient.vertebrae if v.label in GRADED or v.label == 0]
        low = {v.label: below for v, below in pairwise(spine)}
        chosen = {v.label: v for v in spine}
        return [
            float((chosen[label].pose.origin - low[label].pose.origin) @ chosen[label].pose.axes[1])
            for label in (LABEL_OF["L4"], LABEL_OF["L5"])
        ]

    assert 3.5 < max(b - a for a, b in zip(steps(plain), steps(slipped), strict=True)) < 10.5


def test_neck_and_sacrum_are_drawn_at_the_ends(cohort: list[Patient]) -> None:
    labels = [v.label for v in cohort[0].vertebrae]
    assert labels[:5] == [3, 4, 5, 6, 7]
    assert labels[-6:] == [0] * 6
    coccyx, s1 = cohort[0].vertebrae[-1], cohort[0].vertebrae[-6]
    assert coccyx.pose.axes[2][1] < s1.pose.axes[2][1]  # the sacrum bends forwards towards its tip


def test_the_sacrum_slopes_as_in_people(cohort: list[Patient]) -> None:
    slopes = []
    for patient in cohort:
        s1 = patient.vertebrae[-6]
        anterior, _, posterior = s1.pose.world(s1.body.column_ends()[:, 0])
        slopes.append(np.degrees(np.arctan2(posterior[2] - anterior[2], anterior[1] - posterior[1])))
    assert 32 < np.mean(slopes) < 40
    assert 8 < np.std(slopes) < 16


def test_healthy_shapes_follow_their_level(cohort: list[Patient]) -> None:
    plain = [v for p in cohort for v in p.vertebrae if v.label in GRADED and not v.finding]
    for label in (LABEL_OF["T3"], LABEL_OF["T7"], LABEL_OF["T12"], LABEL_OF["L5"]):
        mean = np.mean([v.healthy_heights for v in plain if v.label == label], axis=0)
        expected = level_sizes()[label]
        assert mean[0] / mean[2] == pytest.approx(expected.ratio_anterior, abs=0.02)
        assert mean[1] / mean[2] == pytest.approx(expected.ratio_middle, abs=0.02)


def test_prevalence_is_near_verse(cohort: list[Patient]) -> None:
    by_patient = [np.array([v.genant_grade for v in p.vertebrae if v.label in p.levels]) for p in cohort]
    grades = np.concatenate(by_patient)
    assert (grades > 0).mean() == pytest.approx(0.20, abs=0.06)
    assert np.mean([patient.max() > 0 for patient in by_patient]) == pytest.approx(0.65, abs=0.12)
    shares = np.bincount(grades[grades > 0], minlength=4)[1:] / (grades > 0).sum()
    np.testing.assert_allclose(shares, [0.49, 0.33, 0.18], atol=0.1)


def test_grade_follows_the_true_loss(cohort: list[Patient]) -> None:
    for vertebra in (v for p in cohort for v in p.vertebrae):
        measured = float((1 - vertebra.body.heights() / vertebra.healthy_heights).max())
        assert vertebra.height_loss == pytest.approx(max(measured, 0), abs=1e-9)
        assert vertebra.genant_grade == genant_grade(vertebra.height_loss)
        assert bool(vertebra.shape) == (vertebra.genant_grade > 0)


def test_patients_have_the_shapes_of_their_levels(cohort: list[Patient]) -> None:
    """tests/fractures holds the draws to VerSe'19; here, that patients are built of them."""
    shapes = {
        where: Counter(v.shape for p in cohort for v in p.vertebrae if v.shape and region(v.label) == where)
        for where in ("T5-T9", "L3-L6")
    }
    wedges = {where: found["wedge"] / found.total() for where, found in shapes.items()}
    assert wedges["T5-T9"] > wedges["L3-L6"] + 0.2
    assert shapes["L3-L6"]["biconcave"] / shapes["L3-L6"].total() > 0.6
    mild = {v.shape for p in cohort for v in p.vertebrae if v.genant_grade == 1}
    assert mild == {"wedge", "biconcave"}


def test_a_quarter_of_the_normals_and_more_look_like_something(cohort: list[Patient]) -> None:
    normal = [v.finding for p in cohort for v in p.vertebrae if v.label in GRADED and not v.genant_grade]
    assert np.mean([bool(finding) for finding in normal]) >= 0.25
    seen = {name for finding in normal for name in finding.split("+")}
    assert {"wedging", "short", "schmorl", "degenerate", "scheuermann", "sclerosis", "haemangioma"} <= seen


def test_subthreshold_deformities_lose_less_than_a_grade(cohort: list[Patient]) -> None:
    losses = [v.height_loss for p in cohort for v in p.vertebrae if "subthreshold" in v.finding]
    assert losses
    assert min(losses) >= 0.05
    assert max(losses) < 0.20


def test_no_findings_and_no_fractures_when_the_settings_say_so() -> None:
    plain = PhantomSettings(fractured_patients=0.0, mimics=0.0, subthreshold=0.0)
    vertebrae = [v for n in range(5) for v in draw_patient(f"ph{n:04d}", plain, 1).vertebrae]
    assert not any(v.finding or v.genant_grade or v.height_loss for v in vertebrae)


def test_extent_holds_the_named_bodies_only(cohort: list[Patient]) -> None:
    patient = cohort[0]
    box = patient.extent(LABEL_OF["T11"], LABEL_OF["L2"])
    inside = {v.label for v in patient.vertebrae if np.all((box[:, 0] < v.pose.origin) & (v.pose.origin < box[:, 1]))}
    assert inside == {18, 19, 20, 21}


def test_extent_of_what_is_not_there_is_refused(cohort: list[Patient]) -> None:
    with pytest.raises(ValueError, match="has no vertebra between 26 and 28"):
        cohort[0].extent(26, 28)
