"""Who the patient is stands in the export that was asked for, and nowhere else."""

import logging
from pathlib import Path

import pydicom
import pytest

from helpers.exported import Exported, source_with
from helpers.person import PLANTED, UMLAUT, WORD, found_in
from vertegrade.cohort.sheet import ScanRow
from vertegrade.export import scan as scan_module
from vertegrade.export.scan import Missing, Wanted
from vertegrade.settings import Settings
from vertegrade.settings.ct import CtSettings


def test_nothing_is_exported_unless_it_is_asked_for() -> None:
    assert Settings().export.write == []


def test_objects_name_the_patient_and_markups_do_not(exported: Exported) -> None:
    with_name = [file.name for file in exported.folder.iterdir() if found_in([file])]
    assert sorted(with_name) == ["fhir.json", "seg.dcm", "sr.dcm", "summary.dcm", "synthetic-L1.dcm"]
    assert pydicom.dcmread(exported.folder / "sr.dcm").PatientName == f"{UMLAUT}^{WORD}"


def test_a_record_and_a_message_never_name_the_patient(exported: Exported, capfd: pytest.CaptureFixture[str]) -> None:
    assert not any(secret in str(exported.scan).encode() for secret in PLANTED)


def test_logs_do_not_name_the_patient(
    exported: Exported, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exported.again(tmp_path / "again")
    said = "".join([*capfd.readouterr(), caplog.text]).encode()
    assert not any(secret in said for secret in PLANTED)


def test_an_error_is_of_its_scan_and_does_not_quote_the_header(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report_of(findings: object, source: object, *others: object) -> None:
        raise ValueError(f"cannot write {source.first.PatientName}")  # type: ignore[attr-defined]

    monkeypatch.setattr(scan_module, "report_of", report_of)
    missing = exported.again(tmp_path / "again")
    assert missing.dicom == "an error of the program"
    assert missing.error.startswith("ValueError at test_export_identity.py:")
    assert not any(secret in str(missing).encode() for secret in PLANTED)
    kept = sorted(file.name for file in (tmp_path / "again").iterdir())
    assert kept == ["points.mrk.json", "spineps.nii.gz", "totalsegmentator.nii.gz"]


def test_an_error_in_a_label_map_is_of_its_scan(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_label_maps(*given: object) -> str:
        raise TypeError("odd")

    monkeypatch.setattr(scan_module, "write_label_maps", write_label_maps)
    wanted = Wanted(frozenset({"spineps"}), 1, CtSettings())
    missing = exported.again(tmp_path / "again", wanted=wanted)
    assert (missing.dicom, missing.labels) == ("", "an error of the program")
    assert missing.error.startswith("TypeError at")


def test_markups_alone_read_no_dicom(exported: Exported, tmp_path: Path) -> None:
    gone = ScanRow("s1", "p1", str(tmp_path / "gone"))
    wanted = Wanted(frozenset({"markups"}), 1, CtSettings())
    assert exported.again(tmp_path / "out", row=gone, wanted=wanted) == Missing()
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["points.mrk.json"]


def test_a_scan_without_a_study_says_why(exported: Exported, tmp_path: Path) -> None:
    nifti = ScanRow("s1", "p1", str(tmp_path / "scan.nii.gz"))
    assert "a NIfTI" in exported.again(tmp_path / "nifti", row=nifti).dicom
    bare = exported.again(tmp_path / "out", row=source_with(tmp_path / "bare", FrameOfReferenceUID=None))
    assert "FrameOfReferenceUID is missing" in bare.dicom
    left_out = exported.scan | {"state": "failed", "reason": "bad_pixels"}
    assert exported.again(tmp_path / "failed", scan=left_out) == Missing("the scan is failed: bad_pixels")
