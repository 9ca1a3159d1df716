"""Trabecular HU, discs, slips and curves in SR and FHIR, and when they are withheld."""

from typing import Any

import pytest

from helpers.exported import Exported
from helpers.exported_words import (
    OF_PART,
    curves,
    findings,
    groups,
    groups_of_scan,
    in_bundle,
    in_report,
    observations,
    value_of,
    wanted,
)

ANTERIOR, MIDDLE, POSTERIOR = "255549009", "C25569", "255551008"
ATTENUATION = ("112181", "trabecular-core")


def test_a_vertebra_has_its_attenuation_disc_and_slip_with_their_errors(exported: Exported) -> None:
    numbers, coded = in_report(groups(exported)[0])
    said = {ATTENUATION: 151.25, ("attenuation-sd", "trabecular-core"): 4.5, ("slip", ""): -1.25, ("slip-sd", ""): 0.8}
    said |= {("disc-height", ANTERIOR): 5.1, ("disc-height", MIDDLE): 6.25, ("disc-height", POSTERIOR): 4.3}
    said |= {("disc-height-sd", part): sd for part, sd in ((ANTERIOR, 0.75), (MIDDLE, 0.8), (POSTERIOR, 0.85))}
    assert said.items() <= numbers.items()
    assert "no-attenuation" not in {name for name, _ in coded}


def test_that_contrast_is_unknown_goes_with_the_attenuation_alone(exported: Exported) -> None:
    said = ("attenuation-note", "contrast-unknown")
    assert [said in in_report(group)[1] for group in groups(exported)] == [True, False, False]
    assert [said in in_bundle(each)[1] for each in observations(exported)[:3]] == [True, False, False]


def test_a_vertebra_unlike_the_training_has_no_attenuation_but_its_disc(exported: Exported) -> None:
    numbers, coded = in_report(groups(exported)[1])
    assert ATTENUATION not in numbers
    assert ("no-attenuation", "unlike-training") in coded
    assert numbers["disc-height", MIDDLE] == 7.25
    assert numbers["slip", ""] == 2.5


def test_where_nothing_was_measured_nothing_is_said_but_why(exported: Exported) -> None:
    numbers, coded = in_report(groups(exported)[2])
    assert {"112181", "attenuation-sd", "disc-height", "disc-height-sd", "slip", "slip-sd"}.isdisjoint(
        {name for name, _ in numbers}
    )
    assert ("no-attenuation", "too-flat") in coded


def test_a_curve_has_a_group_of_its_own_where_it_was_measured(exported: Exported) -> None:
    found = groups_of_scan(exported.folder / "sr.dcm")
    assert {each.tracking_identifier: in_report(each) for each in found} == {
        each.tracking_id: wanted(each) for each in curves(exported)
    }
    assert [each.finding_type.value for each in found] == ["lordosis", "scoliosis"]
    assert [each.finding_sites[0].value.value for each in found] == ["122496007", "421060004"]
    assert in_report(found[0]) == ({("285285000", ""): 41.5, ("cobb-angle-sd", ""): 2.25}, set())
    own = {each.tracking_uid for each in (*curves(exported), *findings(exported))}
    assert len(own) == 5


def test_a_curve_is_an_observation_without_a_grade(exported: Exported) -> None:
    lordosis, scoliosis = observations(exported)[3:]
    assert lordosis["code"]["coding"][0]["code"] == "lordosis"
    assert {"valueCodeableConcept", "dataAbsentReason"}.isdisjoint(lordosis)
    assert in_bundle(scoliosis)[0] == {("285285000", ""): 7.75, ("cobb-angle-sd", ""): 2.5}


def units_in_report(group: Any) -> dict[str, str]:
    return {
        value_of(item.ConceptNameCodeSequence[0]): value_of(
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
        )
        for item in group[0].ContentSequence
        if item.ValueType == "NUM"
    }


def whole(value: str) -> str:
    """The number of which FHIR's code says a part."""
    return OF_PART.get(value, (value, ""))[0]


def units_in_bundle(observation: dict[str, Any]) -> dict[str, str]:
    return {
        whole(part["code"]["coding"][0]["code"]): part["valueQuantity"]["code"]
        for part in observation["component"]
        if "valueQuantity" in part
    }


@pytest.mark.parametrize(
    ("concept", "unit"), [("112181", "[hnsf'U]"), ("attenuation-sd", "[hnsf'U]"), ("disc-height", "mm"), ("slip", "mm")]
)
def test_measures_of_a_vertebra_have_their_units(exported: Exported, concept: str, unit: str) -> None:
    assert units_in_report(groups(exported)[0])[concept] == unit
    assert units_in_bundle(observations(exported)[0])[concept] == unit


def test_angles_are_in_degrees(exported: Exported) -> None:
    said = {"285285000": "deg", "cobb-angle-sd": "deg"}
    assert units_in_report(groups_of_scan(exported.folder / "sr.dcm")[0]) == said
    assert units_in_bundle(observations(exported)[3]) == said


def test_codings_beside_each_other_mean_the_same(exported: Exported) -> None:
    """The three heights had `Height` in common as their first coding, and their part as another."""
    codes = [part["code"]["coding"] for part in observations(exported)[0]["component"] if "valueQuantity" in part]
    assert all(len(coding) == 1 for coding in codes)
    assert len({coding[0]["code"] for coding in codes}) == len(codes)
    texts = {part["code"]["text"] for part in observations(exported)[0]["component"]}
    assert {"Height, anterior", "Height, middle", "Height, posterior"} <= texts
