"""What a source's header says of patient and study: kept as it is where DICOM allows it, else made legal, and told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from helpers.dciodvfy import faults_of
from helpers.exported import Exported, source_with
from helpers.person import PLANTED, UMLAUT
from vertegrade.export.header import reduced
from vertegrade.export.scan import Missing
from vertegrade.export.source import silent

TO_UTF8 = "SpecificCharacterSet became ISO_IR 192 (UTF-8)"


def export(exported: Exported, folder: Path, *kinds: str, **tags: Any) -> tuple[Missing, Dataset, dict[str, Any]]:
    """What is missing, the SR, and the patient of FHIR, of a source with these tags."""
    wanted = replace(exported.wanted, kinds=frozenset({"sr", "fhir", *kinds}))
    missing = exported.again(folder / "out", row=source_with(folder / "dicom", **tags), wanted=wanted)
    assert missing.error == missing.dicom == ""
    assert not any(secret in str(missing).encode() for secret in PLANTED)
    patient = json.loads((folder / "out/fhir.json").read_text(encoding="utf-8"))["entry"][0]["resource"]
    return missing, pydicom.dcmread(folder / "out/sr.dcm"), patient


def test_a_backslash_in_names_and_numbers_makes_one_value(exported: Exported, tmp_path: Path) -> None:
    texts = {"PatientID": "A1\\B2", "StudyDescription": "ab\\cd"}
    names = {"PatientName": f"{UMLAUT}\\Smith^Ann", "ReferringPhysicianName": "Dr\\Who"}
    others = {"PatientSex": "F\\M", "PatientAge": "050Y\\051Y", "StudyTime": "10\\11", "IssuerOfPatientID": "a\\b"}
    numbers = {"AccessionNumber": "ACC12345678\\ACC87654321", "StudyID": "3\\4"}
    missing, report, patient = export(exported, tmp_path, **texts, **names, **others, **numbers)
    assert [report[tag].value for tag in texts] == ["A1 B2", "ab cd"]
    assert [report[tag].value for tag in numbers] == ["", ""]
    assert "AccessionNumber was not allowed, and is empty" in missing.tags
    assert faults_of(tmp_path / "out/sr.dcm") == []
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


@pytest.mark.parametrize(
    ("declared", "name", "given"),
    [
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Tarou"),
        ("\\ISO 2022 IR 149", "=洪^吉洞=홍^길동", "吉洞"),
        ("ISO_IR_100", f"{UMLAUT}^Ann", "Ann"),
        ("", f"{UMLAUT}^Ann", "Ann"),
    ],
)
def test_a_character_set_that_cannot_be_written_becomes_utf8(
    exported: Exported, tmp_path: Path, declared: str, name: str, given: str
) -> None:
    tags = {"SpecificCharacterSet": declared, "PatientName": name, "StudyDescription": name[-2:]}
    missing, _, patient = export(exported, tmp_path, "seg", "capture", **tags)
    assert missing.tags == TO_UTF8
    for kind in ("seg", "sr", "summary", "synthetic-L1"):
        made = pydicom.dcmread(tmp_path / f"out/{kind}.dcm")
        assert (made.SpecificCharacterSet, made.PatientName) == ("ISO_IR 192", name), kind
        assert faults_of(tmp_path / f"out/{kind}.dcm") == [], kind
    assert patient["name"][0]["given"] == [given]


def read_again(folder: Path, **tags: Any) -> tuple[Dataset, list[str]]:
    """What an export keeps of an image with these tags, and how they changed."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    with pydicom.config.disable_value_validation(), silent():
        for tag, value in tags.items():
            setattr(image, tag, value)
        pydicom.dcmwrite(folder / "image.dcm", image)
    with silent():
        return reduced(pydicom.dcmread(folder / "image.dcm", force=True))


@pytest.mark.parametrize("declared", ["ISO_IR 100", "ISO_IR 192", "GB18030", "ISO_IR 148"])
def test_a_character_set_that_can_be_written_is_kept(tmp_path: Path, declared: str) -> None:
    image, changed = read_again(tmp_path, SpecificCharacterSet=declared, PatientName="Müller")
    assert (image.SpecificCharacterSet, str(image.PatientName), changed) == (declared, "Müller", [])


@pytest.mark.parametrize(
    "declared",
    ["ISO 2022 IR 6", "ISO 2022 IR 100", "ISO_IR 6", "ISO 2022 IR 6\\ISO 2022 IR 87", "\\ISO 2022 IR 58", "ISO_IR 999"],
)
def test_all_others_become_utf8(tmp_path: Path, declared: str) -> None:
    image, changed = read_again(tmp_path, SpecificCharacterSet=declared, PatientName="Smith")
    assert (image.SpecificCharacterSet, str(image.PatientName), changed) == ("ISO_IR 192", "Smith", [TO_UTF8])


def test_letters_without_a_character_set_get_one(tmp_path: Path) -> None:
    assert read_again(tmp_path, PatientName="Smith")[1] == []
    image, changed = read_again(tmp_path, PatientName="Müller")
    assert (image.SpecificCharacterSet, str(image.PatientName), changed) == ("ISO_IR 192", "Müller", [TO_UTF8])


def test_letters_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    read_again(tmp_path, SpecificCharacterSet="ISO_IR 192", PatientName="Müller")
    file = tmp_path / "image.dcm"
    file.write_bytes(file.read_bytes().replace("ü".encode(), b"\xfc "))  # Latin-1, as some archives send it
    with silent():
        image, changed = reduced(pydicom.dcmread(file, force=True))
    assert changed == ["PatientName has letters that could not be read"]
    assert image.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize(
    ("tag", "longest"),
    [
        ("AccessionNumber", "1" * 16),
        ("StudyID", "1" * 16),
        ("PatientID", "1" * 64),
        ("StudyDescription", "é" * 64),
        ("IssuerOfPatientID", "1" * 64),
        ("ReferringPhysicianName", f"{'a' * 64}={'b' * 64}={'c' * 64}"),
        ("PatientName", f"^^^^{'a' * 60}"),
    ],
)
def test_what_is_too_long_is_empty_and_told(tmp_path: Path, tag: str, longest: str) -> None:
    image, changed = read_again(tmp_path, **{"SpecificCharacterSet": "ISO_IR 100", tag: longest})
    assert (str(image[tag].value), changed) == (longest, [])
    image, changed = read_again(tmp_path, **{"SpecificCharacterSet": "ISO_IR 100", tag: f"{longest}1"})
    assert (str(image[tag].value), changed) == ("", [f"{tag} was not allowed, and is empty"])


@pytest.mark.parametrize("name", ["a=b=c=d", "a^b^c^d^e^f"])
def test_a_name_of_more_parts_than_there_are_is_empty(tmp_path: Path, name: str) -> None:
    image, changed = read_again(tmp_path, PatientName=name)
    assert (str(image.PatientName), changed) == ("", ["PatientName was not allowed, and is empty"])


def test_ages_have_three_digits_and_a_unit(tmp_path: Path) -> None:
    ages = {"050Y": "050Y", "50Y": "050Y", "50": "", "Y": ""}
    assert {age: read_again(tmp_path, PatientAge=age)[0].PatientAge for age in ages} == ages


def test_one_of_two_numbers_that_is_empty_leaves_the_other(tmp_path: Path) -> None:
    image, changed = read_again(tmp_path, AccessionNumber="17\\")
    assert (image.AccessionNumber, changed) == ("17", ["AccessionNumber had several values, which are joined"])


def test_two_that_gave_one_number_are_not_written(tmp_path: Path) -> None:
    tag = "IssuerOfPatientIDQualifiersSequence"
    items = [Dataset(), Dataset()]
    for item in items:
        item.UniversalEntityID, item.UniversalEntityIDType = "1.2.3", "ISO"
    assert read_again(tmp_path, **{tag: items[:1]})[1] == []
    image, changed = read_again(tmp_path, **{tag: items})
    assert (tag in image, changed) == (False, [f"{tag} was not allowed, and is left out"])
    assert tag not in read_again(tmp_path, **{tag: [Dataset()]})[0]
