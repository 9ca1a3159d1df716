"""VerSe's two releases in their two layouts: one subject is one patient, and a broken annotation hides no good one."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import openpyxl
import pytest

from helpers.series import body_hu, write_series
from vertegrade.cohort.sheet import ScanRow, SheetError, read_sheet
from vertegrade.cohort.verse_names import SERIES, verse_ids
from vertegrade.index.folder import write_index
from vertegrade.index.found import Found

GRADES = Path(__file__).resolve().parents[3] / "shared/data/loeffler2020/ryai190138_appendixe1.xlsx"
POINT = {"label": 20, "X": 1.0, "Y": 2.0, "Z": 3.0}
CENTROIDS = [{"direction": ["P", "I", "R"]}, POINT]
CHALLENGE = [POINT]  # no direction; millimetres


def nifti(path: Path, dtype: str = "int16", shape: tuple[int, ...] = (6, 7, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    origin = sum(path.name.encode()) + len(str(path))  # no two images share a header by chance
    nib.Nifti1Image(np.zeros(shape, dtype), np.diag([1.0, 1, 2, 1]) + np.eye(4, k=3) * origin).to_filename(path)


def indexed(top: Path) -> tuple[dict[str, ScanRow], Found]:
    found = write_index(top, top.parent / "scans.csv", top.parent / "scans.key.tsv", replace=True, jobs=1)
    return {row.scan_id: row for row in read_sheet(top.parent / "scans.csv")}, found


# Path of an image, its patient, its scan.
LAYOUTS = {
    "subject-based 2019": ("rawdata/sub-verse400/sub-verse400_split-verse090_ct.nii.gz", "verse400", "verse090"),
    "subject-based 2020": (
        "rawdata/sub-verse401/sub-verse401_split-verse253_dir-iso_ct.nii.gz",
        "verse401",
        "verse253",
    ),
    "subject-based Glocker": ("rawdata/sub-gl003/sub-gl003_dir-ax_ct.nii.gz", "gl003", "gl003"),
    "challenge 2019": ("verse155.nii.gz", "verse400", "verse155"),
    "challenge 2020": ("verse401/verse401_verse201_CT-iso.nii.gz", "verse401", "verse201"),
    "challenge Glocker": ("GL017/GL017_CT_ax.nii.gz", "gl017", "gl017"),
    "challenge Glocker, hyphen": ("GL090/GL090_CT-ax.nii.gz", "gl090", "gl090"),
}


@pytest.mark.parametrize(("image", "patient", "scan"), LAYOUTS.values(), ids=list(LAYOUTS))
def test_each_layout_names_patient_and_series(tmp_path: Path, image: str, patient: str, scan: str) -> None:
    nifti(tmp_path / "in" / image)
    rows, _ = indexed(tmp_path / "in")
    assert [(row.patient_id, row.scan_id) for row in rows.values()] == [(patient, scan)]


@pytest.mark.parametrize("style", ["verse{}.nii.gz", "verse400_verse{}_CT-iso.nii.gz", "sub-verse{}_ct.nii.gz"])
def test_two_series_of_a_verse_subject_are_one_patient(tmp_path: Path, style: str) -> None:  # field test B5
    for one in ("090", "155"):
        nifti(tmp_path / "in" / style.format(one))
    rows, _ = indexed(tmp_path / "in")
    assert {scan: row.patient_id for scan, row in rows.items()} == {"verse090": "verse400", "verse155": "verse400"}


@pytest.mark.shared
def test_the_series_of_one_subject_are_those_of_the_grade_sheet() -> None:
    if not GRADES.exists():
        pytest.skip(f"the VerSe'19 grade sheet is not at {GRADES}")
    book = openpyxl.load_workbook(GRADES, data_only=True, read_only=True)
    header, *lines = book["VerSe_dataset"].iter_rows(values_only=True, max_col=3)  # it claims 16384 columns
    verse, subject = header.index("verse_ID"), header.index("subject_ID")
    linked: dict[int, list[int]] = {}
    for line in (line for line in lines if line[verse] is not None):
        linked.setdefault(line[subject], []).append(line[verse])
    assert {person: tuple(sorted(series)) for person, series in linked.items() if len(series) > 1} == SERIES


@pytest.mark.parametrize("name", ["sub-verse004_ses-1_ct.nii.gz", "universe004.nii.gz", "verse4.nii.gz", "gl0031"])
def test_other_names_are_not_taken_for_verse_s(name: str) -> None:
    assert verse_ids(name) is None


@pytest.mark.parametrize("ending", ["iso-ctd", "ctd-iso"])
@pytest.mark.parametrize("gap", "_-")
def test_centroids_of_the_challenge_are_seen_and_leave_the_mask_its_place(  # field test B5
    tmp_path: Path, ending: str, gap: str
) -> None:
    folder = tmp_path / "in/GL124"
    nifti(folder / "GL124_CT-ax.nii.gz")
    nifti(folder / "GL124_CT-ax_seg.nii.gz", "uint8")
    json_file = folder / f"GL124_CT_ax{gap}{ending}.json"  # the release itself mixes CT_ax and CT-ax
    json_file.write_text(json.dumps(CHALLENGE))
    (folder / "GL124_CT-ax-w.png").write_bytes(b"png")
    rows, found = indexed(tmp_path / "in")
    row = rows["gl124"]
    assert (Path(row.mask).name, row.centroids) == ("GL124_CT-ax_seg.nii.gz", "")
    (told,) = found.left_out
    assert (told["path"], told["reason"]) == (str(json_file), "annotation")
    assert "millimetres" in told["message"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (json.dumps(CHALLENGE), "begins with a point instead of the direction"),
        ("[", "not a VerSe centroid file"),
        ("[]", "not a VerSe centroid file"),
    ],
    ids=["challenge 2019", "cut short", "empty"],
)
def test_a_broken_centroid_file_hides_neither_mask_nor_good_centroids(  # field test B5
    tmp_path: Path, text: str, wrong: str
) -> None:
    top = tmp_path / "in"
    nifti(top / "verse100.nii.gz")
    nifti(top / "verse100_seg.nii.gz", "uint8")
    (top / "verse100_ctd.json").write_text(text)
    rows, found = indexed(top)
    assert (rows["verse100"].mask, rows["verse100"].centroids) == (f"{top}/verse100_seg.nii.gz", "")
    assert wrong in found.left_out[0]["message"]
    assert any("1 masks or centroids cannot be used" in note for note in found.notes)
    good = top / "derivatives/sub-verse100/sub-verse100_seg-vb_ctd.json"
    good.parent.mkdir(parents=True)
    good.write_text(json.dumps(CENTROIDS))
    assert indexed(top)[0]["verse100"].centroids == str(good)


def test_a_broken_mask_or_one_of_other_size_hides_no_good_one(tmp_path: Path) -> None:
    top = tmp_path / "in"
    nifti(top / "verse100.nii.gz")
    (top / "verse100_seg.nii.gz").write_bytes(b"x" * 400)
    nifti(top / "a/verse100_seg.nii.gz", "uint8", (6, 7, 13))
    nifti(top / "b/verse100_seg.nii.gz", "uint8", (12, 6, 7))  # the same voxels, lying otherwise
    assert indexed(top)[0]["verse100"].mask == f"{top}/b/verse100_seg.nii.gz"


def test_a_series_of_both_releases_is_one_scan(tmp_path: Path) -> None:
    nifti(tmp_path / "in/dataset-verse19training/rawdata/sub-verse401/sub-verse401_split-verse201_ct.nii.gz")
    nifti(tmp_path / "in/dataset-verse20training/rawdata/sub-verse401/sub-verse401_split-verse201_dir-iso_ct.nii.gz")
    rows, found = indexed(tmp_path / "in")
    assert list(rows) == ["verse201"]
    assert [item["reason"] for item in found.left_out] == ["same_name"]


# Where an image lies, and the split that its row has.
OFFICIAL = {
    "dataset-verse19training/rawdata/sub-verse004/sub-verse004_ct.nii.gz": "train",
    "dataset-verse19validation/rawdata/sub-verse401/sub-verse401_split-verse201_ct.nii.gz": "validation",
    "dataset-verse19test/rawdata/sub-verse012/sub-verse012_ct.nii.gz": "test",
    "dataset-verse20test/rawdata/sub-verse500/sub-verse500_dir-ax_ct.nii.gz": "test",
    "dataset-verse20training/rawdata/sub-gl003/sub-gl003_dir-ax_ct.nii.gz": "train",
    "dataset-verse20training/rawdata/sub-verse013/sub-verse013_ct.nii.gz": "",  # the grade sheet has it in the test set
    "my-verse20test/sub-verse502_ct.nii.gz": "",
    "dataset-verse20test/rawdata/sub-01/sub-01_ct.nii.gz": "",
}


@pytest.mark.parametrize(("image", "split"), OFFICIAL.items(), ids=list(OFFICIAL))
def test_the_official_split_is_that_of_the_release_of_the_subject(tmp_path: Path, image: str, split: str) -> None:
    nifti(tmp_path / "in" / image)
    rows, _ = indexed(tmp_path / "in")
    assert [row.split for row in rows.values()] == [split]


def test_one_release_alone_may_be_indexed(tmp_path: Path) -> None:
    nifti(tmp_path / "dataset-verse20validation/rawdata/sub-verse500/sub-verse500_dir-ax_ct.nii.gz")
    rows, _ = indexed(tmp_path / "dataset-verse20validation")
    assert rows["verse500"].split == "validation"


def test_a_folder_called_after_a_subject_says_whose_the_images_in_it_are(tmp_path: Path) -> None:
    for path in ("sub-01/first.nii.gz", "sub-01/ses-2/second.nii.gz", "sub-02/first.nii.gz"):
        nifti(tmp_path / "in" / path)
    rows, found = indexed(tmp_path / "in")
    assert sorted(row.patient_id for row in rows.values()) == ["01", "01", "02"]
    assert len(rows) == 3
    assert not [note for note in found.notes if "counts as a patient" in note]


def test_blanks_around_a_patient_id_make_no_second_patient(tmp_path: Path) -> None:
    for number, patient in enumerate(("7", " 7 ")):
        uid = f"1.2.{number}"

        def change(dataset: object, index: int, uid: str = uid, patient: str = patient) -> None:
            dataset.SeriesInstanceUID, dataset.PatientID = uid, patient  # type: ignore[attr-defined]
            dataset.SOPInstanceUID = f"{uid}.{index + 1}"  # type: ignore[attr-defined]

        write_series(tmp_path / "in" / str(number), body_hu(12), change=change)
    rows, _ = indexed(tmp_path / "in")
    assert (len(rows), len({row.patient_id for row in rows.values()})) == (2, 1)


def test_a_sheet_that_divides_a_verse_subject_is_refused(tmp_path: Path) -> None:  # field test B5
    sheet = tmp_path / "scans.csv"
    sheet.write_text(
        "scan_id,patient_id,path\na,p1,/d/verse090.nii.gz\nb,p2,/d/verse155.nii.gz\nc,p2,/d/verse004.nii\n"
    )
    with pytest.raises(SheetError, match=r"line 3: .*verse155.* subject verse400, who is patient 'p1' on line 2"):
        read_sheet(sheet)
    sheet.write_text(
        "scan_id,patient_id,path\na,p1,/d/verse090.nii.gz\nb,p1,/d/verse155.nii.gz\nc,p2,/d/verse004.nii\n"
    )
    assert len(read_sheet(sheet)) == 3
