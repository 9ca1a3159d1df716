"""What a source's header says of patient and study: kept as it is where DICOM allows it, else made legal, and told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from helpers.exported import Exported, source_with
from helpers.person import PLANTED, UMLAUT
from vertegrade.export.scan import Missing


def export(exported: Exported, folder: Path, *kinds: str, **tags: Any) -> tuple[Missing, Dataset, dict[str, Any]]:
    """What is missing, the SR, and the patient of FHIR, of a source with these tags."""
    wanted = replace(exported.wanted, kinds=frozenset({"sr", "fhir", *kinds}))
    missing = exported.again(folder / "out", row=source_with(folder / "dicom", **tags), wanted=wanted)
    assert missing.error == missing.dicom == ""
    assert not any(secret in str(missing).encode() for secret in PLANTED)
    patient = json.loads((folder / "out/fhir.json").read_text(encoding="utf-8"))["entry"][0]["resource"]
    return missing, pydicom.dcmread(folder / "out/sr.dcm"), patient


def test_a_backslash_in_names_and_numbers_makes_one_value(exported: Exported, tmp_path: Path) -> None:
    texts = {"PatientID": "A1\\B2", "AccessionNumber": "1\\2", "StudyID": "3\\4", "StudyDescription": "ab\\cd"}
    names = {"PatientName": f"{UMLAUT}\\Smith^Ann", "ReferringPhysicianName": "Dr\\Who"}
    others = {"PatientSex": "F\\M", "PatientAge": "050Y\\051Y", "StudyTime": "10\\11", "IssuerOfPatientID": "a\\b"}
    missing, report, patient = export(exported, tmp_path, **texts, **names, **others)
    assert [report[tag].value for tag in texts] == ["A1 B2", "1 2", "3 4", "ab cd"]
    assert report.PatientName == f"{UMLAUT} Smith^Ann"
    assert [report[tag].value for tag in ("PatientSex", "PatientAge", "StudyTime")] == ["", "", ""]
    assert patient["identifier"] == [{"value": "A1 B2", "assigner": {"display": "a b"}}]
    assert patient["name"] == [{"family": f"{UMLAUT} Smith", "given": ["Ann"]}]
    assert "PatientName had several values, which are joined" in missing.tags
    assert "StudyTime was not allowed, and is empty" in missing.tags
    assert UMLAUT not in missing.tags
    assert "Smith" not in missing.tags


def test_dates_of_before_dicom_3_are_read(exported: Exported, tmp_path: Path) -> None:
    tags = {"PatientBirthDate": "1950.01.31", "StudyDate": "2025.03.17", "StudyTime": "11:22:33"}
    missing, report, patient = export(exported, tmp_path, **tags)
    assert [report[tag].value for tag in tags] == ["19500131", "20250317", "112233"]
    assert patient["birthDate"] == "1950-01-31"
    assert missing.tags.startswith("PatientBirthDate was not as DICOM writes it; StudyDate")


def test_a_birth_date_that_is_none_is_left_out(exported: Exported, tmp_path: Path) -> None:
    missing, report, patient = export(exported, tmp_path, PatientBirthDate="19500230", PatientID="A\nB")
    assert report.PatientBirthDate == ""
    assert "birthDate" not in patient
    assert report.PatientID == "A B"
    assert missing.tags == "PatientID had line breaks; PatientBirthDate was not allowed, and is empty"


def test_whose_number_a_patient_has_is_kept(exported: Exported, tmp_path: Path) -> None:
    item = Dataset()
    item.UniversalEntityID, item.UniversalEntityIDType, item.IdentifierTypeCode = "1.2.3", "ISO", "MR"
    tags = {"PatientID": "17", "IssuerOfPatientID": "North", "IssuerOfPatientIDQualifiersSequence": [item]}
    missing, _, patient = export(exported, tmp_path, "seg", "capture", **tags)
    assert missing == Missing()
    for name in ("seg", "sr", "summary", "synthetic-L1"):
        made = pydicom.dcmread(tmp_path / f"out/{name}.dcm")
        assert made.IssuerOfPatientID == "North"
        assert list(made.IssuerOfPatientIDQualifiersSequence) == [item]
    assert patient["identifier"] == [{"value": "17", "system": "urn:oid:1.2.3", "assigner": {"display": "North"}}]


def test_a_uid_of_several_values_is_not_exported(exported: Exported, tmp_path: Path) -> None:
    row = source_with(tmp_path / "dicom", FrameOfReferenceUID=["1.2.3", "1.2.4"])
    assert exported.again(tmp_path / "out", row=row).dicom.startswith("FrameOfReferenceUID has several values")


@pytest.mark.parametrize("tag", ["IssuerOfPatientID", "PatientName", "PatientID"])
def test_what_is_absent_is_empty(exported: Exported, tmp_path: Path, tag: str) -> None:
    missing, report, _ = export(exported, tmp_path, **{tag: None})
    assert missing == Missing()
    assert not report.get(tag)
