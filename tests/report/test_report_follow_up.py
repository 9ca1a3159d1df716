"""What changed between a patient's scans, on the page of the patient."""

from dataclasses import replace

from helpers.changes import CHANGES, pair
from helpers.page import Outline
from helpers.patients import COHORT, about, page, patients, pictures, placed
from vertegrade.report.patients.follow_up import comparisons, finding
from vertegrade.report.patients.pages import patient_page


def test_a_new_fracture_is_told_as_a_radiologist_would() -> None:
    changes = CHANGES.to_dict("records")
    told = "L1: new wedge fracture since month 0: anterior height 24 → 16 mm (−33 %, ± 4 %)"
    assert finding(changes[1]) == told  # type: ignore[arg-type]
    assert finding(changes[2]).startswith("L2: progressed wedge fracture")  # type: ignore[arg-type]


def test_the_worst_change_is_first_and_nothing_is_left_out() -> None:
    (compared,) = comparisons(CHANGES, pair(CHANGES))
    assert compared.title == "Month 0 to month 18.5"
    assert [change.level for change in compared.rows] == ["L2", "L1", "L3", "T12", "L4"]
    assert compared.summary == "1 new and 1 progressed vertebral fractures; 2 vertebrae stable, 1 unclear."
    assert [text[:2] for text in compared.findings] == ["L2", "L1"]
    unclear, stable = compared.rows[2:4]
    assert unclear.finding == "unclear: a height grew: cement, a wrong point, or another vertebra"
    assert (stable.finding, stable.heights[0]) == ("stable", ("24.0 → 23.5", "−2 % ± 4 %"))
    assert (stable.grades, stable.severity) == ("0 → 2", "+2.2 (+1.5 to +2.7)")


def test_what_is_doubtful_is_said_in_the_row_the_finding_and_the_summary() -> None:
    changes = CHANGES.assign(flags_after=["", "look_at_this unlike_training", "", "", ""])
    changes["flags_before"] = ["", "unlike_training", "", "doubtful_points corrected", ""]
    changes["label_confidence_before"] = [1.0, 0.6, 1.0, 1.0, 1.0]
    (compared,) = comparisons(changes, pair(changes))
    assert compared.summary.startswith("1 new and 1 progressed vertebral fractures (1 doubtful); 2")
    rows = {change.level: change.doubt for change in compared.rows}
    assert rows["about L1"] == "doubtful: unlike training (months 0 and 18.5)"
    assert rows["L3"] == "doubtful: doubtful points (month 0)"
    assert rows["L2"] == rows["T12"] == ""
    assert compared.findings[1].startswith("about L1: new wedge fracture since month 0")
    assert compared.findings[1].endswith("; doubtful: unlike training (months 0 and 18.5)")
    text = patient_page(patients()[0], placed(COHORT.landmarks), pictures(), about(), [compared])
    assert '<span class="doubt">Doubtful: doubtful points (month 0)</span>' in text
    assert Outline(text).open == []


def test_names_that_differ_are_each_as_certain_as_they_are() -> None:
    shifted = CHANGES.assign(vertebra_before=CHANGES["vertebra_after"] - 1, label_confidence_after=0.5)
    (compared,) = comparisons(shifted, pair(shifted, shift=-1))
    assert compared.rows[1].level == "about L1 (month 0: T12)"


def test_without_a_change_the_levels_are_named() -> None:
    changes = CHANGES[CHANGES["verdict"] == "stable"]
    (compared,) = comparisons(changes, pair(changes))
    assert compared.summary == "No new or progressed vertebral fracture of T12, L4."


def test_names_that_differ_are_said_in_the_row_and_above_the_table() -> None:
    shifted = CHANGES.assign(vertebra_before=CHANGES["vertebra_after"] - 1)
    (compared,) = comparisons(shifted, pair(shifted, shift=-1))
    assert compared.rows[1].level == "L1 (month 0: T12)"
    assert "differ by 1 level between" in compared.notes[0]
    assert "further up by the names of scan a (probability 0.99)" in compared.notes[0]


def test_scans_that_are_not_compared_say_why() -> None:
    for reason, told in (
        ("scan_left_out", "was left out"),
        ("none_in_common", "no vertebra"),
        ("levels_unsure", "unsure"),
    ):
        (compared,) = comparisons(CHANGES[:0], pair(CHANGES[:0], reason=reason))
        assert told in compared.summary
        assert compared.rows == []


def test_the_page_has_a_table_and_is_as_before_without_follow_up() -> None:
    patient = patients()[0]
    compared = comparisons(CHANGES, pair(CHANGES))
    compared[0] = replace(compared[0], notes=["<b>names</b>"])
    text = patient_page(patient, placed(COHORT.landmarks), pictures(), about(), compared)
    outline = Outline(text)
    assert outline.open == []
    assert "Follow-up, month 0 to month 18.5:" in text
    assert text.index("L2: progressed") < text.index('id="follow-up-1"') < text.index('id="scan-0"')
    assert "&lt;b&gt;names" in text
    assert '<tr class="new"><th scope="row">L1</th>' in text
    plain = page(patient)
    for word in ("Follow-up", "changes", "follow-up"):
        assert word not in plain
