"""Trabecular HU, discs, slips and curves on a patient's page: each with its error, or the reason why there is none."""

import pytest

from helpers.exported import bodies, curves
from helpers.patients import COHORT, about, patient, pictures, placed
from helpers.records import record_of
from vertegrade.report.patients.measures import NO_HU, measured_of
from vertegrade.report.patients.pages import patient_page
from vertegrade.spine.density import FORBIDDING
from vertegrade.vertebra_reasons import VERTEBRA_REASONS

T12, L1, L2, L3 = 19, 20, 21, 22
HEAD = "Bone, discs, slips and curves"


@pytest.fixture(scope="module")
def shown() -> str:
    beside = (table.assign(scan_id="s") for table in (bodies(), curves()))
    record = record_of({T12: 0.2, L1: "unlike_training", L2: 2.7, L3: 0.1}, "s", "", *beside)
    return patient_page(patient(), placed(COHORT.landmarks), pictures(), about(), (), record)


def test_each_value_has_its_error(shown: str) -> None:
    table = shown[shown.index(HEAD) :]
    for text in ("151 ± 4", "5.1 ± 0.8", "6.2 ± 0.8", "4.3 ± 0.8", "−1.2 ± 0.8", "41.5° ± 2.2°", "7.8° ± 2.5°"):
        assert f">{text}<" in table or f": {text}<" in table, text


def test_that_contrast_is_unknown_stands_beside_the_hu(shown: str) -> None:
    said = "whether contrast was given is not known"
    assert f'Trabecular bone, HU<span class="note">{said}</span>' in shown
    assert f'data-head="Trabecular bone, HU ({said})"' in shown


def test_what_is_missing_has_its_reason(shown: str) -> None:
    for text in (
        f"<strong>L1</strong>: no HU. {NO_HU['unlike_training']}",
        f"<strong>L2</strong>: no HU. {NO_HU['too_flat']}",
        "<strong>L2</strong>: no disc below and no slip.",
        "<strong>L3</strong>: nothing of this.",
        "T4 to T12</strong>: not measured: T4 and T12 are not both there",
    ):
        assert text in shown, text
    assert "95 ±" not in shown  # of what is unlike the training


def test_every_reason_for_no_hu_has_words() -> None:
    assert {*FORBIDDING, "too_flat", "no_points", "unlike_training"} <= NO_HU.keys() | VERTEBRA_REASONS.keys()


def test_an_uncertain_level_is_written_so() -> None:
    record = record_of({T12: 0.2, L1: 0.1}, bodies=bodies(), curves=curves())
    (scan,) = record["scans"]
    scan["vertebrae"][0]["label_confidence"] = 0.5
    assert [row.level for row in measured_of(scan).rows] == ["about T12", "L1"]


def test_a_scan_that_was_not_read_shows_nothing_of_it() -> None:
    failed = patient(state="failed", reason="broken_file")
    record = record_of({T12: 0.2}, "s")
    assert HEAD not in patient_page(failed, placed(COHORT.landmarks), pictures(), about(), (), record)
