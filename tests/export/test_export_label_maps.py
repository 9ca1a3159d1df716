"""A label map lies on the scan's own voxels, has the bodies of the segmentation, and is read back as a tool's is."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import highdicom
import nibabel as nib
import numpy as np
import pytest

from helpers.exported import L1, L2, T12, Exported
from helpers.exported_words import findings
from helpers.fake_tools import install_fake
from helpers.nifti import write_nifti
from helpers.person import found_in
from vertegrade.annotations.tools import given_mask, tool_mask
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, mm_to_voxel, read_volume, to_ras, voxel_to_mm
from vertegrade.export.findings import Finding
from vertegrade.export.label_maps import write_label_maps
from vertegrade.export.scan import Missing, Wanted
from vertegrade.levels import LABEL_OF
from vertegrade.reasons import Refused
from vertegrade.settings.ct import CtSettings
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.landmarks import provided_landmarks, tool_landmarks
from vertegrade.tables import points_of

BOTH = frozenset({"totalsegmentator", "spineps"})
PROGRAMS = {"totalsegmentator": "TotalSegmentator", "spineps": "spineps"}
LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# The fixture's slices as VerSe stores them: i runs to posterior, j to the feet, k to the right.
PIR = np.array([[0, 0, 0.9, -24.0], [-0.7, 0, 0, 8.0], [0, -2.0, 0, 23.0], [0, 0, 0, 1.0]])
PIR_SHAPE = (70, 60, 60)


def labels_of(file: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(file)
    return np.asarray(image.dataobj), image.affine


def settings(method: str) -> LocalizeSettings:
    return LocalizeSettings.model_validate({"method": method, "tool_minutes": 1.0})


def read_back(monkeypatch: pytest.MonkeyPatch, folder: Path, kind: str, made: Path, volume: Volume) -> np.ndarray:
    """VerSe's labels as localization reads them from that tool."""
    monkeypatch.setenv("PATH", str(folder))
    install_fake(folder, PROGRAMS[kind], made)
    return tool_mask("s1", volume, settings(kind), "cpu")


def test_a_map_has_the_voxels_of_the_segmentation(exported: Exported) -> None:
    seg = highdicom.seg.segread(exported.folder / "seg.dcm").get_volume(combine_segments=True)
    labels, affine = labels_of(exported.folder / "spineps.nii.gz")
    voxels = np.argwhere(seg.array > 0)
    places = mm_to_voxel(affine, voxel_to_mm(LPS_RAS @ seg.affine, voxels))
    assert np.abs(places - np.rint(places)).max() < 0.01
    there = labels[tuple(np.rint(places).astype(int).T)]
    np.testing.assert_array_equal(there, np.array([0, T12, L1, L2])[seg.array[tuple(voxels.T)]])
    assert np.count_nonzero(labels) == len(voxels)
    volume = read_volume(exported.volume)
    assert labels.shape == volume.hu.shape
    np.testing.assert_array_equal(affine, volume.affine)


@pytest.mark.parametrize("kind", sorted(BOTH))
def test_our_reader_of_the_tool_reads_the_same_levels_and_bodies(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    volume, made = read_volume(exported.volume), exported.folder / f"{kind}.nii.gz"
    own, _ = labels_of(exported.folder / "spineps.nii.gz")
    np.testing.assert_array_equal(read_back(monkeypatch, tmp_path, kind, made, volume), own)
    table = tool_landmarks(exported.row, volume, settings(kind), "cpu")
    assert table["vertebra"].tolist() == [T12, L1, L2]
    given = np.stack([finding.points_mm for finding in findings(exported) if finding.points_mm is not None])
    assert np.abs(points_of(table) - given).max() < 3.0  # slices are 2 mm thick, and the walls a drawing


def test_ids_are_those_of_the_tool(exported: Exported) -> None:
    found = {kind: np.unique(labels_of(exported.folder / f"{kind}.nii.gz")[0]).tolist() for kind in BOTH}
    assert found == {"totalsegmentator": [0, 30, 31, 32], "spineps": [0, T12, L1, L2]}


def test_names_stand_where_totalsegmentator_looks_for_them(exported: Exported) -> None:
    """As its `load_multilabel_nifti` does: CaretExtension, VolumeInformation, LabelTable, Label."""
    header = nib.load(exported.folder / "totalsegmentator.nii.gz").header
    root = ElementTree.fromstring(header.extensions[0].get_content())
    assert root.tag == "CaretExtension"
    names = {int(each.attrib["Key"]): each.text for each in root.findall("VolumeInformation/LabelTable/Label")}
    assert names == {32: "vertebrae_T12", 31: "vertebrae_L1", 30: "vertebrae_L2"}


def test_a_map_names_no_patient_and_says_what_it_is_for(exported: Exported) -> None:
    for kind in BOTH:
        assert found_in([exported.folder / f"{kind}.nii.gz"]) == []
        descrip = nib.load(exported.folder / f"{kind}.nii.gz").header["descrip"].item().decode()
        assert "RESEARCH USE ONLY" in descrip


def test_a_nifti_gets_its_map_on_its_own_grid(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", np.zeros(PIR_SHAPE, np.int16), PIR)
    wanted, row = Wanted(BOTH, 1, CtSettings()), ScanRow("s1", "p1", str(scan))
    out = tmp_path / "out"
    assert exported.again(out, row=row, wanted=wanted, volume=tmp_path / "nowhere") == Missing()
    labels, affine = labels_of(out / "spineps.nii.gz")
    assert labels.shape == PIR_SHAPE
    np.testing.assert_allclose(affine, PIR, atol=1e-5)
    hu, turned = to_ras(np.zeros(PIR_SHAPE, np.int16), affine)
    for kind in BOTH:
        back = read_back(monkeypatch, tmp_path, kind, out / f"{kind}.nii.gz", Volume(hu, turned))
        np.testing.assert_array_equal(back, to_ras(labels, affine)[0])
    by_dicom, dicom_affine = labels_of(exported.folder / "spineps.nii.gz")
    for label in (T12, L1, L2):
        sizes = [np.count_nonzero(each == label) for each in (labels, by_dicom)]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.05)
        middles = [
            voxel_to_mm(where, np.argwhere(each == label).mean(axis=0))
            for each, where in ((labels, affine), (by_dicom, dicom_affine))
        ]
        assert np.abs(middles[0] - middles[1]).max() < 0.5


def moved(exported: Exported, names: list[str]) -> list[Finding]:
    """The fixture's vertebrae under other names."""
    return [
        replace(finding, level=name, vertebra=LABEL_OF[name])
        for finding, name in zip(findings(exported), names, strict=True)
    ]


def test_what_totalsegmentator_has_no_id_for_is_left_out_and_told(exported: Exported, tmp_path: Path) -> None:
    odd = moved(exported, ["T13", "L5", "L6"])
    told = write_label_maps(odd, BOTH, tmp_path, exported.volume, tmp_path)
    assert told == "T13: totalsegmentator has no id for it; L6: totalsegmentator has no id for it"
    assert np.unique(labels_of(tmp_path / "totalsegmentator.nii.gz")[0]).tolist() == [0, 27]
    assert np.unique(labels_of(tmp_path / "spineps.nii.gz")[0]).tolist() == [0, 24, 25, 28]


def test_a_vertebra_that_cannot_be_drawn_is_told(exported: Exported, tmp_path: Path) -> None:
    first, *others = findings(exported)
    told = write_label_maps([replace(first, points_mm=None), *others], BOTH, tmp_path, exported.volume, tmp_path)
    assert told == "T12: no body of it can be drawn"
    assert np.unique(labels_of(tmp_path / "spineps.nii.gz")[0]).tolist() == [0, L1, L2]


def test_a_map_without_a_vertebra_is_not_written(exported: Exported, tmp_path: Path) -> None:
    alone = [replace(finding, points_mm=None) for finding in moved(exported, ["L3", "L4", "L5"])]
    told = write_label_maps(alone, frozenset({"spineps"}), tmp_path, exported.volume, tmp_path)
    assert told.endswith("L5: no body of it can be drawn; no spineps.nii.gz: no vertebra for it")
    assert list(tmp_path.iterdir()) == []


def test_a_nifti_that_became_damaged_is_told(exported: Exported, tmp_path: Path) -> None:
    broken = tmp_path / "scan.nii"
    broken.write_bytes(b"no image")
    told = write_label_maps(findings(exported), BOTH, broken, exported.volume, tmp_path)
    assert told == "no label map: the NIfTI cannot be read again"
    assert list(tmp_path.iterdir()) == [broken]


@pytest.mark.parametrize(("kind", "labels"), [("totalsegmentator", "totalsegmentator"), ("spineps", "verse")])
def test_our_map_is_a_mask_of_the_sample_sheet_with_the_same_bodies(exported: Exported, kind: str, labels: str) -> None:
    volume = read_volume(exported.volume)
    row = replace(exported.row, mask=str(exported.folder / f"{kind}.nii.gz"))
    given = LocalizeSettings.model_validate({"method": "provided", "mask_labels": labels})
    np.testing.assert_array_equal(given_mask(row.mask, volume, given), labels_of(exported.folder / "spineps.nii.gz")[0])
    table = provided_landmarks(row, volume, given)
    assert table["vertebra"].tolist() == [T12, L1, L2]
    assert (table["source"] == "mask").all()
    points = np.stack([finding.points_mm for finding in findings(exported) if finding.points_mm is not None])
    assert np.abs(points_of(table) - points).max() < 3.0


@pytest.mark.parametrize(
    ("labels", "kind", "reason", "words"),
    [
        ("totalsegmentator", "spineps", "no_vertebrae", "set it to verse"),
        ("verse", "totalsegmentator", "unknown_label", "set localize.mask_labels"),
    ],
)
def test_a_wrong_choice_of_labels_is_told(exported: Exported, labels: str, kind: str, reason: str, words: str) -> None:
    row = replace(exported.row, mask=str(exported.folder / f"{kind}.nii.gz"))
    given = LocalizeSettings.model_validate({"method": "provided", "mask_labels": labels})
    with pytest.raises(Refused, match=words) as caught:
        provided_landmarks(row, read_volume(exported.volume), given)
    assert caught.value.reason == reason
