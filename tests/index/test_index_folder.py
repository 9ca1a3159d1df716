"""A folder of everything that lies in such folders becomes the right sheet, and what is left out is counted."""

import csv
import json
import shutil
import stat
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import SecondaryCaptureImageStorage

from helpers.enhanced import write_enhanced
from helpers.series import body_hu, write_series
from vertegrade.cohort.sheet import ScanRow, read_sheet
from vertegrade.ct.headers import series_code
from vertegrade.index.folder import IndexingError, report_of, write_index
from vertegrade.index.found import Found
from vertegrade.index.headers import dicom_header, nifti_header
from vertegrade.index.pseudonyms import KeyFileError, pseudonym, read_key_file

CENTROIDS = '[{"direction": ["P", "I", "R"]}, {"label": 20, "X": 1.0, "Y": 2.0, "Z": 3.0}]'


def series(folder: Path, uid: str = "1.2.3", patient: str = "ANN", count: int = 12, **tags: object) -> Path:
    """A series; names of its files say which, so that several fit into one folder."""

    def change(dataset: Dataset, index: int) -> None:
        dataset.SeriesInstanceUID, dataset.PatientID = uid, patient
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{uid}.{index + 1}"
        for name, value in tags.items():
            setattr(dataset, name, value)

    return write_series(folder, body_hu(count), names=[f"{uid}-{i}" for i in range(count)], change=change)


def indexed(top: Path, **options: object) -> tuple[list[ScanRow], Found]:
    sheet = top.parent / "scans.csv"
    found = write_index(top, sheet, top.parent / "scans.key.tsv", replace=True, jobs=1)
    return sorted(read_sheet(sheet), key=lambda row: (row.path, row.series)), found


def test_nested_mixed_folders_with_what_else_lies_there(tmp_path: Path) -> None:
    top = tmp_path / "in"
    series(top / "a/deep/er", "1.1")
    series(top / "mixed", "1.2")
    series(top / "mixed", "1.3")
    series(top / "mixed", "1.4", count=3)
    series(top / "shots", "1.5", SOPClassUID=SecondaryCaptureImageStorage)
    series(top / "mixed", "1.6", count=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    FileSet().write(top / "mixed")  # a DICOMDIR
    (top / "note.txt").write_text("hello")
    (top / "mixed/empty.dcm").touch()
    (top / "mixed/.hidden").write_text("x")
    (top / "broken.dcm").write_bytes((top / "mixed/1.2-0").read_bytes()[:150])
    (top / "loop").symlink_to(top)
    rows, found = indexed(top)
    codes = sorted(map(series_code, ("1.2", "1.3")))
    assert [(row.path, row.series) for row in rows] == [
        (f"{top}/a/deep/er", ""),
        *[(f"{top}/mixed", code) for code in codes],
    ]
    once = dict.fromkeys(("localizer", "dicomdir", "not_dicom", "empty", "unreadable"), 1)
    assert dict(found.files_left_out) == {"not_ct": 12} | once
    assert dict(found.images_left_out) == {"too_few_slices": 1}
    assert (found.files, found.slices, found.images) == (17 + 39, 39, 4)
    assert len({row.patient_id for row in rows}) == 1


def test_a_folder_above_another_names_its_series(tmp_path: Path) -> None:
    top = tmp_path / "in"
    series(top, "1.1", patient="ANN")
    series(top / "more", "1.2", patient="BOB")
    rows, _ = indexed(top)
    assert [(row.path, row.series) for row in rows] == [(str(top), series_code("1.1")), (f"{top}/more", "")]
    assert len({row.patient_id for row in rows}) == 2


def test_zips_are_read_member_by_member(tmp_path: Path) -> None:
    top = tmp_path / "in"
    top.mkdir()
    with zipfile.ZipFile(top / "two.zip", "w") as archive:
        for uid in ("1.1", "1.2"):
            for file in sorted(series(tmp_path / uid, uid).iterdir()):
                archive.write(file, f"study/{file.name}")
        archive.writestr("readme.txt", "x")
    with zipfile.ZipFile(top / "evil.zip", "w") as archive:
        archive.writestr("../evil.dcm", b"x")
    (top / "torn.zip").write_bytes((top / "two.zip").read_bytes()[:500])
    before = sorted(path.name for path in tmp_path.rglob("*"))
    rows, found = indexed(top)
    assert {row.series for row in rows} == {series_code("1.1"), series_code("1.2")}
    assert {row.path for row in rows} == {f"{top}/two.zip"}
    assert {(item["path"], item["message"]) for item in found.left_out} == {
        (f"{top}/evil.zip", "unsafe_archive"),
        (f"{top}/torn.zip", "broken_archive"),
    }
    written = {"scans.csv", "scans.index.json", "scans.key.tsv"}
    assert {path.name for path in tmp_path.rglob("*")} - set(before) == written  # nothing was unpacked


def test_multi_frame_ct_is_one_file(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "in", body_hu())
    rows, found = indexed(tmp_path / "in")
    assert ([row.series for row in rows], found.slices) == ([""], 1)


def test_copies_and_scattered_series(tmp_path: Path) -> None:
    top = tmp_path / "in"
    shutil.copytree(series(top / "a", "1.1"), top / "b")
    for number, file in enumerate(sorted(series(top / "c/1", "1.2").iterdir())):
        if number % 2:
            (top / "c/2").mkdir(exist_ok=True)
            file.rename(top / "c/2" / file.name)
    rows, found = indexed(top)
    assert [row.path for row in rows] == [f"{top}/a", f"{top}/c"]
    assert [(item["path"], item["reason"]) for item in found.left_out] == [(f"{top}/b", "copy")]


def test_series_that_cannot_be_scans(tmp_path: Path) -> None:
    top = tmp_path / "in"
    series(top / "ok", "1.9")
    series(top / "a", "1.1", patient="ANN")
    (top / "a/1.1-3").unlink()
    series(tmp_path / "x", "1.1", patient="BOB").joinpath("1.1-3").rename(top / "a/other")
    files = sorted(series(tmp_path / "y", "1.2").iterdir())
    for name, half in (("1.zip", files[:6]), ("2.zip", files[6:])):
        with zipfile.ZipFile(top / name, "w") as archive:
            for file in half:
                archive.write(file, file.name)
    rows, found = indexed(top)
    assert [row.path for row in rows] == [f"{top}/ok"]
    assert dict(found.images_left_out) == {"several_patients": 1, "scattered": 1}


def nifti(path: Path, dtype: str = "int16", shape: tuple[int, ...] = (6, 7, 12), origin: float = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 3] = origin
    nib.Nifti1Image(np.zeros(shape, dtype), affine).to_filename(path)


def test_verse_releases_in_both_name_styles(tmp_path: Path) -> None:
    top = tmp_path / "in"
    for release, style, names in (
        ("dataset-verse19training", "seg-vb_ctd", ["sub-verse004", "sub-verse401_split-verse253"]),
        ("dataset-verse20training", "seg-subreg_ctd", ["sub-verse004", "sub-verse500_dir-ax"]),
    ):
        for number, name in enumerate(names):
            subject = name.split("_")[0]
            folder = top / release
            nifti(folder / f"rawdata/{subject}/{name}_ct.nii.gz", origin=number)
            nifti(folder / f"derivatives/{subject}/{name}_seg-vert_msk.nii.gz", "uint8")
            (folder / f"derivatives/{subject}/{name}_{style}.json").write_text(CENTROIDS)
            (folder / f"derivatives/{subject}/{name}_snp.png").write_bytes(b"png")
    nifti(top / "flat/verse100.nii.gz", origin=9)
    nifti(top / "flat/verse100_seg.nii.gz", "uint8")
    (top / "flat/verse100_ctd.json").write_text(CENTROIDS)
    rows, found = indexed(top)
    verse19, verse20 = top / "dataset-verse19training/derivatives", top / "dataset-verse20training/derivatives"
    assert {row.scan_id: (row.patient_id, row.mask, row.centroids) for row in rows} == {
        "verse004": (
            "verse004",
            f"{verse19}/sub-verse004/sub-verse004_seg-vert_msk.nii.gz",
            f"{verse19}/sub-verse004/sub-verse004_seg-vb_ctd.json",
        ),
        "verse253": (
            "verse401",
            f"{verse19}/sub-verse401/sub-verse401_split-verse253_seg-vert_msk.nii.gz",
            f"{verse19}/sub-verse401/sub-verse401_split-verse253_seg-vb_ctd.json",
        ),
        "verse500": (
            "verse500",
            f"{verse20}/sub-verse500/sub-verse500_dir-ax_seg-vert_msk.nii.gz",
            f"{verse20}/sub-verse500/sub-verse500_dir-ax_seg-subreg_ctd.json",
        ),
        "verse100": ("verse100", f"{top}/flat/verse100_seg.nii.gz", f"{top}/flat/verse100_ctd.json"),
    }
    (overlap,) = found.left_out
    assert (overlap["reason"], "dataset-verse20" in overlap["path"]) == ("same_name", True)
    assert overlap["message"].endswith("it has the same header and size")


def test_other_nifti_and_derivatives(tmp_path: Path) -> None:
    top = tmp_path / "in"
    nifti(top / "Jane Doe/ct.nii")
    nifti(top / "Jane Doe/ct_mask.nii.gz", "int16")
    nifti(top / "sub-01/sub-01_T1w.nii.gz")
    nifti(top / "derivatives/x/sub-01/sub-01_desc-smooth_ct.nii.gz")
    nifti(top / "labels8.nii.gz", "uint8")
    nifti(top / "perfusion.nii.gz", shape=(4, 4, 12, 3))
    (top / "broken.nii.gz").write_bytes(b"x" * 400)
    rows, found = indexed(top)
    (row,) = rows
    assert row.mask == f"{top}/Jane Doe/ct_mask.nii.gz"
    assert (len(row.scan_id), len(row.patient_id)) == (13, 13)
    assert dict(found.images_left_out) == {"not_ct_name": 1, "derivative": 1, "not_ct_values": 1, "not_3d": 1}
    assert dict(found.files_left_out) == {"annotation": 1, "unreadable": 1}


def test_an_edited_sheet_is_never_overwritten_unasked(tmp_path: Path) -> None:
    series(tmp_path / "in", "1.1")
    indexed(tmp_path / "in")
    sheet = tmp_path / "scans.csv"
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    indexed(tmp_path / "in")  # the same bytes with the same key, in two processes too
    write_index(tmp_path / "in", sheet, tmp_path / "scans.key.tsv", replace=True, jobs=2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    sheet.write_text("edited")
    with pytest.raises(IndexingError, match=r"is there already.*REPLACE=1"):
        write_index(tmp_path / "in", sheet, tmp_path / "scans.key.tsv", replace=False, jobs=1)
    assert sheet.read_text() == "edited"


def test_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vertegrade.index.headers.CHUNK", 5)
    monkeypatch.setattr("vertegrade.index.folder.CHUNK", 5)
    for number in range(3):
        series(tmp_path / f"in/{number}", f"1.{number}")
    one, _ = indexed(tmp_path / "in")
    write_index(tmp_path / "in", tmp_path / "scans.csv", tmp_path / "scans.key.tsv", replace=True, jobs=2)
    assert read_sheet(tmp_path / "scans.csv") == one
    assert len(one) == 3


def test_the_key_file_leads_back_and_is_private(tmp_path: Path) -> None:
    series(tmp_path / "in", "1.1", patient="Doe, Jane\t7", AccessionNumber="ACC1", StudyDate="20200102")
    (row,), _ = indexed(tmp_path / "in")
    path = tmp_path / "scans.key.tsv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key, links = read_key_file(path)
    assert row.patient_id == pseudonym(key, "p", "Doe, Jane\t7")
    (link,) = links
    assert (link["PatientID"], link["AccessionNumber"], link["StudyDate"]) == ("Doe, Jane\t7", "ACC1", "20200102")
    path.unlink()
    (again,), _ = indexed(tmp_path / "in")
    assert again.patient_id != row.patient_id  # another key
    path.write_text("not a key\n")
    with pytest.raises(KeyFileError, match="64 hex digits"):
        indexed(tmp_path / "in")


def test_the_report_reconciles_and_holds_no_header_text(tmp_path: Path) -> None:
    series(tmp_path / "in/a", "1.1", patient="PLANTED")
    (tmp_path / "in/x.txt").write_text("x")
    indexed(tmp_path / "in")
    text = report_of(tmp_path / "scans.csv").read_text()
    report = json.loads(text)
    assert report["files"] == {"found": 13, "left_out": {"not_dicom": 1}, "ct": 12}
    assert report["images"] == {"found": 1, "left_out": {}, "scans": 1}
    assert "PLANTED" not in text + (tmp_path / "scans.csv").read_text()


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="2 files are not 0"):
        Found(files=2).report()
    with pytest.raises(ValueError, match="1 images are not 0"):
        Found(images=1).report()


def test_nothing_found_and_no_folder_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for top, message in ((tmp_path / "in", "no CT series"), (tmp_path / "none", "no such folder")):
        with pytest.raises(IndexingError, match=message):
            indexed(top)
    assert not (tmp_path / "scans.csv").exists()


def test_names_with_control_characters_never_reach_the_sheet(tmp_path: Path) -> None:
    series(tmp_path / "in/a\nb", "1.1")
    series(tmp_path / 'in/it\'s, "fine"; ü', "1.2")
    (row,), found = indexed(tmp_path / "in")
    assert row.path == f'{tmp_path}/in/it\'s, "fine"; ü'
    assert found.files_left_out["bad_name"] == 12
    with (tmp_path / "scans.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 2


def test_a_key_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    series(tmp_path / "in", "1.1")
    path = tmp_path / "scans.key.tsv"
    for content in (None, "# key " + "0" * 64 + "\nscan_id\tPatientID\ns\t" + "x" * 200_000):
        path.write_text(content) if content else path.mkdir()
        with pytest.raises(KeyFileError, match="the key file cannot be read"):
            indexed(tmp_path / "in")
        if not content:
            path.rmdir()


def test_sex_and_decade_come_from_the_headers_and_the_age_in_years_does_not(tmp_path: Path) -> None:
    top = tmp_path / "in"
    series(top / "a", "1.1", "ANN", PatientSex="F", PatientAge="063Y")
    series(top / "b", "1.2", "ANN", PatientAge="070Y")
    series(top / "c", "1.3", "BOB", PatientSex="M", PatientAge="101Y")
    series(top / "d", "1.4", "BOB", PatientSex="F", PatientAge="000Y")
    series(top / "e", "1.5", "CAT", PatientSex="X", PatientAge="018M")
    rows, found = indexed(top)
    assert [(row.sex, row.age_band) for row in rows] == [
        ("F", "60-69"),
        ("", "70-79"),
        ("", "90+"),
        ("", ""),
        ("", "0-9"),
    ]
    assert found.notes == ["1 patient(s) whose series name different sexes: left empty; fill in `sex`"]
    assert "063Y" not in (tmp_path / "scans.csv").read_text() + report_of(tmp_path / "scans.csv").read_text()


def test_series_without_patient_id_are_told(tmp_path: Path) -> None:
    series(tmp_path / "in/a", "1.1", patient="")
    series(tmp_path / "in/b", "1.2")
    _, found = indexed(tmp_path / "in")
    assert found.notes == ["1 series without PatientID: each study counts as a patient; correct patient_id"]


def test_too_little_memory_is_not_taken_for_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        dicom_header(1, full)  # type: ignore[arg-type]
    monkeypatch.setattr("vertegrade.index.headers.load_nifti", full)
    with pytest.raises(MemoryError):
        nifti_header(tmp_path)


def test_a_dicom_file_that_is_damaged_after_its_preamble(tmp_path: Path) -> None:
    path = tmp_path / "in/a.dcm"
    series(tmp_path / "in", "1.1")
    path.write_bytes(bytes(128) + b"DICM" + b"\xff" * 400)
    _, found = indexed(tmp_path / "in")
    assert dict(found.files_left_out) == {"unreadable": 1}


def test_nifti_that_stand_for_unknown_patients_or_for_one_image_twice_are_told(tmp_path: Path) -> None:
    for name in ("a.nii", "b.nii"):
        nifti(tmp_path / "in" / name)
    _, found = indexed(tmp_path / "in")
    twice, unnamed = found.notes
    assert "header and size are those of" in twice
    assert unnamed.startswith("2 NIfTI neither named `sub-...` nor in a folder so named")


def test_ct_images_that_say_otherwise_or_say_nothing(tmp_path: Path) -> None:
    series(tmp_path / "in/ct", "1.1")
    series(tmp_path / "in/mr", "1.2", Modality="MR")
    series(tmp_path / "in/torn", "1.3", Modality="")
    (nib.Nifti1Image(np.zeros((4, 4), np.int16), np.eye(4))).to_filename(tmp_path / "in/flat.nii")
    rows, found = indexed(tmp_path / "in")
    assert [row.path for row in rows] == [f"{tmp_path}/in/ct"]
    assert dict(found.files_left_out) == {"not_ct": 12, "unreadable": 12}
    assert dict(found.images_left_out) == {"not_3d": 1}


def test_files_with_uids_of_their_own_are_one_scan(tmp_path: Path) -> None:  # field test B4
    top = tmp_path / "in"
    for number in range(12):
        (top / "a").mkdir(parents=True, exist_ok=True)
        next(iter(sorted(series(tmp_path / str(number), f"1.{number + 1}").iterdir()))).rename(top / f"a/{number}")
    series(top / "b", "1.99")
    rows, found = indexed(top)
    assert {(row.path, row.series) for row in rows} == {(f"{top}/a", ""), (f"{top}/b", "")}
    assert found.images == 2
