"""The layout of Spine-Mets-CT-SEG: DICOM SEG as two libraries write it, the clinical table, and a case of both."""

from pathlib import Path

import highdicom as hd
import numpy as np
import openpyxl
import pandas as pd
import pydicom
import pytest
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset

from helpers.series import ORIENTATIONS, body_hu, write_series
from vertegrade.cohort.sheet import SheetError
from vertegrade.ct.volume import voxel_to_mm
from vertegrade.levels import LABEL_OF
from vertegrade.metastasis.layout.clinical import levels_of, read_clinical, write_clinical
from vertegrade.metastasis.layout.segmentation import find_segmentation, read_segmentation
from vertegrade.metastasis.layout.write_segmentation import write_segmentation
from vertegrade.metastasis.roster import CLINICAL, LayoutError, cases_of, metastasis_rows
from vertegrade.metastasis.slices import clinical_label, slice_answers
from vertegrade.reasons import Refused
from vertegrade.settings.metastasis import BoneSliceSettings, MetastasisSettings

L1, L2, T12 = LABEL_OF["L1"], LABEL_OF["L2"], LABEL_OF["T12"]
SLICES = 7


def complete(header: Dataset, number: int) -> None:
    """What highdicom asks of the images that a SEG is drawn on."""
    header.PatientSex, header.StudyDate, header.StudyTime = "F", "20200101", "120000"
    header.SeriesDate, header.SeriesTime, header.SpacingBetweenSlices = "20200101", "120000", "1.5"
    header.AccessionNumber = header.StudyID = header.ReferringPhysicianName = header.PositionReferenceIndicator = ""
    header.InstanceNumber = str(number + 1)


def source(folder: Path, orientation: str = "axial") -> list[Dataset]:
    """Slices of a CT series, in the order of their numbers."""
    write_series(folder, body_hu(SLICES, 16, 14), orientation=ORIENTATIONS[orientation], change=complete)
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def segment(number: int, name: str) -> hd.seg.SegmentDescription:
    anatomy = CodedConcept("123037004", "SCT", "Anatomical Structure")
    kind = CodedConcept("51282000", "SCT", "Vertebra")
    return hd.seg.SegmentDescription(number, name, anatomy, kind, hd.seg.SegmentAlgorithmTypeValues.MANUAL)


def by_highdicom(path: Path, slices: list[Dataset], names: list[str], pixels: np.ndarray, kind: str = "BINARY") -> Path:
    """A SEG of pixels (slices, rows, columns) with numbers of segments."""
    made = hd.seg.Segmentation(
        source_images=slices, pixel_array=pixels, segmentation_type=kind, series_number=300,
        segment_descriptions=[segment(number, name) for number, name in enumerate(names, start=1)],
        series_instance_uid=hd.UID(), sop_instance_uid=hd.UID(), instance_number=1, manufacturer="m",
        manufacturer_model_name="m", software_versions="1", device_serial_number="1",
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path)
    return path


@pytest.fixture
def slices(tmp_path: Path) -> list[Dataset]:
    return source(tmp_path / "case/study/5.000000-CT-1")


def world(slices: list[Dataset], k: int, row: int, column: int) -> np.ndarray:
    """RAS mm of a pixel of the k-th slice."""
    item = slices[k]
    way, spacing = np.array(item.ImageOrientationPatient, float), np.array(item.PixelSpacing, float)
    lps = np.array(item.ImagePositionPatient, float) + way[:3] * spacing[1] * column + way[3:] * spacing[0] * row
    return lps * [-1, -1, 1]


@pytest.mark.parametrize("orientation", ["axial", "oblique", "head first prone"])
def test_a_segmentation_lies_where_its_frames_say(tmp_path: Path, orientation: str) -> None:
    slices = source(tmp_path / "case/study/5.000000-CT-1", orientation)
    pixels = np.zeros((SLICES, 16, 14), np.uint8)
    pixels[1:3, 4:9, 2:5] = 1
    pixels[5, 11:13, 7:9] = 2  # no vertebra: an annotator's other structure
    pixels[5:7, 3:6, 9:11] = 3
    path = tmp_path / "case/study/300.000000-Spine Segmentation-2/1-1.dcm"
    by_highdicom(path, slices, ["T12 vertebra", "spinal canal", "L1 vertebra"], pixels)
    assert find_segmentation(tmp_path / "case") == path
    labels, affine = read_segmentation(path)
    assert set(np.unique(labels)) == {0, T12, L1}
    for label, number in ((T12, 1), (L1, 3)):
        found = voxel_to_mm(affine, np.argwhere(labels == label))
        expected = np.array([world(slices, *at) for at in np.argwhere(pixels == number)])
        assert np.allclose(np.sort(found, axis=0), np.sort(expected, axis=0), atol=1e-3)
        assert np.abs(found[:, None] - expected).sum(axis=2).min(axis=1).max() < 0.01


def test_what_is_written_here_highdicom_reads(tmp_path: Path, slices: list[Dataset]) -> None:
    shape = (int(slices[0].Columns), int(slices[0].Rows), SLICES)
    mask = np.zeros(shape, np.uint8)
    mask[3:7, 2:9, 1:4], mask[5:8, 4:6, 4:6] = L1, T12
    header, positions = slices[0], np.array([s.ImagePositionPatient for s in slices], float)
    for name in ("one.dcm", "two.dcm"):
        write_segmentation(tmp_path / name, mask, header, positions, "2.25.1234")
    assert (tmp_path / "one.dcm").read_bytes() == (tmp_path / "two.dcm").read_bytes()
    found = hd.seg.segread(tmp_path / "one.dcm")
    assert [s.SegmentLabel for s in found.SegmentSequence] == ["T12 vertebra", "L1 vertebra"]
    volume = found.get_volume(combine_segments=True)
    assert sorted(np.unique(volume.array, return_counts=True)[1][1:]) == [12, 84]
    again, affine = read_segmentation(tmp_path / "one.dcm")
    assert again.sum() == mask.sum()
    corner = voxel_to_mm(affine, np.argwhere(again == L1)).min(axis=0)  # the hindmost row, the rightmost column
    assert np.allclose(corner, world(slices, 1, 16 - 1 - 2, 14 - 1 - 3), atol=1e-3)


def test_what_cannot_be_used_is_refused(tmp_path: Path, slices: list[Dataset]) -> None:
    pixels = np.zeros((SLICES, 16, 14), np.uint8)
    pixels[1:3, 4:9, 2:5] = 1
    case = tmp_path / "case"
    with pytest.raises(Refused, match=r"mask_unreadable.*no DICOM segmentation"):
        find_segmentation(case)
    path = by_highdicom(case / "seg/1.dcm", slices, ["liver"], pixels)
    with pytest.raises(Refused, match="no_vertebrae"):
        read_segmentation(path)
    by_highdicom(case / "seg/1.dcm", slices, ["L1 vertebra"], pixels.astype(float) / 2, "FRACTIONAL")
    with pytest.raises(Refused, match="mask_not_labels"):
        read_segmentation(path)
    by_highdicom(case / "seg/1.dcm", slices, ["L1 vertebra"], pixels)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Refused, match="mask_unreadable"):
        read_segmentation(path)
    by_highdicom(case / "seg/2.dcm", slices, ["L1 vertebra"], pixels)
    with pytest.raises(Refused, match="2 DICOM segmentations"):
        find_segmentation(case)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("T1, T2 T3, T4", "T1 T2 T3 T4"),
        ("T11-L1", "T11 T12 L1"),
        ("L1-3", "L1 L2 L3"),
        ("T12 to L2 and L5", "T12 L1 L2 L5"),
        ("C7;Th1", "C7 T1"),
        ("L4-S1", "L4 L5"),
        ("S1", ""),
        ("none", ""),
        ("", ""),
    ],
)
def test_levels_of_a_cell(text: str, levels: str) -> None:
    assert levels_of(text) == {LABEL_OF[name] for name in levels.split()}


@pytest.mark.parametrize("text", ["all", "T1, sternum", "T13", "L9", "L3-T2", "12"])
def test_other_cells_are_not_guessed(text: str) -> None:
    if text == "T13":
        assert levels_of(text) == {LABEL_OF["T13"]}
        return
    with pytest.raises(ValueError, match=r"level|below"):
        levels_of(text)


def published_table(path: Path, rows: list[list[object]]) -> Path:
    """A workbook with the sheets and columns of the public one."""
    book = openpyxl.Workbook()
    book.active.title = "Data Dictionary"
    book.active.append(["Column Title ", "Definition"])
    sheet = book.create_sheet("Spine-Mets-CT-SEG")
    sheet.append([
        "Case", "Age (Y)", "Sex", "Height (m)", "Weight (kg)", "BMI (kg/m^2)", "Primary cancer",
        "Vertebrae with Lesions", "Blastic", "Lytic", "Mixed", "Comments/Fractures",
    ])  # fmt: skip
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


ABOUT = [60, "F", 1.6, 60, 23, "Breast"]


def test_classes_of_the_clinical_table(tmp_path: Path) -> None:
    path = published_table(
        tmp_path / CLINICAL,
        [
            [10250, *ABOUT, "T12 L1, L2 L3 L4", "T12 L3", "L1, L3", "L2 ", None],
            [10352, *ABOUT, None, None, None, None, "Fracture of L1"],
            [10355, *ABOUT, "L1", "L1", None, "L1", None],
            [10456, *ABOUT, "everything", None, None, None, None],
        ],
    )
    cases = read_clinical(path)
    case = cases["10250"]
    assert case.classes == {T12: "blastic", L1: "lytic", L2: "mixed", LABEL_OF["L3"]: "mixed", LABEL_OF["L4"]: ""}
    assert case.reasons == {LABEL_OF["L4"]: "class_unknown"}
    assert clinical_label(case, T12, False) == {
        "bone_class": "blastic", "blastic": 1, "lytic": 0, "posterolateral": -1, "source": "Spine-Mets-CT-SEG",
        "usable": True, "reason": "",
    }  # fmt: skip
    assert clinical_label(case, LABEL_OF["L5"], False)["bone_class"] == "normal"
    assert clinical_label(case, LABEL_OF["L5"], False)["posterolateral"] == 0
    assert clinical_label(case, T12, True)["reason"] == "cut_by_scan_edge"
    assert cases["10352"].classes == {}
    assert clinical_label(cases["10355"], L1, False)["reason"] == "class_contradicts"
    assert clinical_label(cases["10456"], L1, False)["reason"] == "label_unreadable"
    assert clinical_label(cases.get("99999"), L1, False)["reason"] == "no_label"  # unknown, not normal


def test_a_lesion_is_not_handed_down_to_all_slices() -> None:
    label = {"source": "Spine-Mets-CT-SEG", "blastic": 1, "lytic": 0, "posterolateral": -1}
    answers = slice_answers(np.zeros((3, 3, 4, 4), np.int16), label, BoneSliceSettings())
    assert answers.to_numpy().tolist() == [[-1, 0, -1]] * 3


def test_faults_of_the_table_name_it(tmp_path: Path) -> None:
    (tmp_path / "text.xlsx").write_text("no workbook")
    with pytest.raises(SheetError, match=r"text\.xlsx: not a readable workbook"):
        read_clinical(tmp_path / "text.xlsx")
    pd.DataFrame({"Case": [1]}).to_excel(tmp_path / "other.xlsx")
    with pytest.raises(SheetError, match="no sheet with the columns Case, Vertebrae"):
        read_clinical(tmp_path / "other.xlsx")
    with pytest.raises(SheetError, match="case 1 has two rows"):
        read_clinical(published_table(tmp_path / "twice.xlsx", [[1, *ABOUT, *[None] * 5]] * 2))


def test_the_table_that_is_written_here_is_read_and_always_the_same(tmp_path: Path) -> None:
    rows = [{"Case": "mp0001", "Blastic": "T12, L2", "Mixed": "L1", "Vertebrae with Lesions": "T12, L1, L2"}]
    for name in ("one.xlsx", "two.xlsx"):
        write_clinical(tmp_path / name, rows, "PHANTOM")
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()
    assert read_clinical(tmp_path / "one.xlsx")["mp0001"].classes == {T12: "blastic", L1: "mixed", L2: "blastic"}


def test_cases_are_the_folders(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no folders of cases"):
        cases_of(tmp_path)
    for case in ("10250", "10352"):
        (tmp_path / "Spine-Mets-CT-SEG" / case).mkdir(parents=True)
    with pytest.raises(LayoutError, match=r"Clinical\.xlsx is missing"):
        cases_of(tmp_path)
    (tmp_path / CLINICAL).touch()
    rows = metastasis_rows(MetastasisSettings(folder=str(tmp_path), shards=1), "results")
    assert [(row.scan_id, row.patient_id) for row in rows["0"]] == [("10250-1", "10250"), ("10352-1", "10352")]
    (tmp_path / "Spine-Mets-CT-SEG" / "a b").mkdir()
    with pytest.raises(LayoutError, match="'a b'"):
        cases_of(tmp_path)
