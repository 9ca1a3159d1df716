"""When: the study as its source says it, the grades in the same local time, and no local time that is a guess."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from helpers.exported import Exported, source_with
from helpers.exported_words import observations
from vertegrade.export.about import maker_of
from vertegrade.export.scan import Missing
from vertegrade.export.times import date_of, offset_of, study_moment, time_of

MADE = "2026-11-29T01:02:03+00:00"  # when the exported scan was graded


@pytest.fixture(scope="module")
def in_zone(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the scan with a local time nine and a half hours behind UTC."""
    base = tmp_path_factory.mktemp("zone")
    row = source_with(base / "dicom", TimezoneOffsetFromUTC="-0930", StudyDate="20250317", StudyTime="235958")
    wanted = replace(exported.wanted, kinds=frozenset({"seg", "sr", "capture", "fhir"}))
    assert exported.again(base / "out", row=row, wanted=wanted) == Missing()
    return base / "out"


def resources(folder: Path, kind: str) -> list[dict[str, Any]]:
    bundle = json.loads((folder / "fhir.json").read_text(encoding="utf-8"))
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def times(dataset: Dataset) -> dict[str, str]:
    """All dates and times of an object but the patient's birth date."""
    return {
        element.keyword: str(element.value)
        for element in dataset.iterall()
        if element.VR in ("DA", "TM", "DT") and element.keyword != "PatientBirthDate"
    }


@pytest.mark.parametrize("name", ["seg", "sr", "summary", "synthetic-L1"])
def test_an_object_says_its_times_in_the_local_time_of_its_source(in_zone: Path, name: str) -> None:
    made = pydicom.dcmread(in_zone / f"{name}.dcm")
    assert made.TimezoneOffsetFromUTC == "-0930"
    said = times(made)
    assert (said.pop("StudyDate"), said.pop("StudyTime")) == ("20250317", "235958")
    assert said.pop("ContributionDateTime") == "20261128153203-0930"
    assert {"SeriesDate", "ContentDate"} <= set(said)
    assert set(said.values()) == {"20261128", "153203"}


@pytest.mark.parametrize("name", ["seg", "sr", "summary", "synthetic-L1"])
def test_without_a_known_local_time_an_object_says_none_but_what_it_must(exported: Exported, name: str) -> None:
    """TimezoneOffsetFromUTC would speak for the StudyTime too."""
    made = pydicom.dcmread(exported.folder / f"{name}.dcm")
    assert "TimezoneOffsetFromUTC" not in made
    said = times(made)
    assert said.pop("ContributionDateTime") == "20261129010203+0000"
    must = {"ContentDate": "20261129", "ContentTime": "010203"} if name in ("seg", "sr") else {}
    assert said == must | {"StudyDate": "19010203", "StudyTime": "112233.5"}


def test_fhir_says_when_the_ct_was_made_and_when_it_was_graded(in_zone: Path) -> None:
    assert {each["started"] for each in resources(in_zone, "ImagingStudy")} == {"2025-03-17T23:59:58-09:30"}
    for each in resources(in_zone, "Observation"):
        assert each["effectiveDateTime"] == "2025-03-17T23:59:58-09:30"
        assert each["issued"] == MADE


def test_fhir_says_a_day_where_the_offset_is_unknown(exported: Exported) -> None:
    assert {each["effectiveDateTime"] for each in observations(exported)} == {"1901-02-03"}
    assert {each["issued"] for each in observations(exported)} == {MADE}


@pytest.mark.parametrize(
    ("day", "time", "offset", "moment"),
    [
        ("", "112233", "+0100", ""),
        ("20250317", "", "+0100", "2025-03-17"),
        ("20250317", "11", "+0100", "2025-03-17"),
        ("20250317", "1122", "+0100", "2025-03-17T11:22:00+01:00"),
        ("20250317", "112233.25", "-0330", "2025-03-17T11:22:33.25-03:30"),
    ],
)
def test_a_moment_is_as_precise_as_its_source(day: str, time: str, offset: str, moment: str) -> None:
    first = Dataset()
    first.StudyDate, first.StudyTime, first.TimezoneOffsetFromUTC = day, time, offset
    assert study_moment(first) == moment


def test_a_study_without_a_date_has_none(exported: Exported, tmp_path: Path) -> None:
    wanted = replace(exported.wanted, kinds=frozenset({"fhir"}))
    row = source_with(tmp_path / "dicom", StudyDate="", StudyTime="112233")
    assert exported.again(tmp_path / "out", row=row, wanted=wanted) == Missing()
    assert "started" not in resources(tmp_path / "out", "ImagingStudy")[0]
    assert all("effectiveDateTime" not in each for each in resources(tmp_path / "out", "Observation"))


@pytest.mark.parametrize(
    ("text", "date"),
    [("19500131", "19500131"), ("1950.01.31", "19500131"), ("1950-01-31", "19500131"), ("19500230", ""), ("1950", "")],
)
def test_dates_become_those_of_dicom(text: str, date: str) -> None:
    assert date_of(text) == date


@pytest.mark.parametrize(
    ("text", "time"), [("112233.5", "112233.5"), ("11:22:33", "112233"), ("11", "11"), ("2511", ""), ("11h", "")]
)
def test_times_become_those_of_dicom(text: str, time: str) -> None:
    assert time_of(text) == time


@pytest.mark.parametrize(
    ("text", "offset"),
    [("+0100", "+0100"), ("-0930", "-0930"), ("+1400", "+1400"), ("+1500", ""), ("-0000", ""), ("01:00", "")],
)
def test_an_offset_is_legal_or_none(text: str, offset: str) -> None:
    assert offset_of(text) == offset


def test_a_time_of_grades_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no offset"):
        maker_of("dae", "test", "2026-11-29T01:02:03")
