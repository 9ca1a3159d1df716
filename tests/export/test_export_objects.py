"""What is written is legal DICOM of the same patient and study, and says what was found, in SR and FHIR alike."""

import json
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from helpers.dciodvfy import faults_of
from helpers.exported import L1, T12, Exported
from helpers.exported_words import (
    GENANT,
    findings,
    groups,
    groups_of_scan,
    in_bundle,
    in_report,
    observations,
    source,
    wanted,
)
from vertegrade.export.codes import SYSTEMS
from vertegrade.export.scan import Missing
from vertegrade.tables import POINTS


def dicom_files(exported: Exported) -> list[Path]:
    return sorted(exported.folder.glob("*.dcm"))


def test_all_that_was_asked_for_is_written(exported: Exported) -> None:
    names = {file.name for file in exported.folder.iterdir()}
    dicom = {"seg.dcm", "sr.dcm", "summary.dcm", "synthetic-L1.dcm"}
    assert names == dicom | {"fhir.json", "points.mrk.json", "totalsegmentator.nii.gz", "spineps.nii.gz"}


def test_the_report_is_read_back_to_the_same_numbers(exported: Exported) -> None:
    found = {group.tracking_identifier: in_report(group) for group in groups(exported)}
    assert found == {finding.tracking_id: wanted(finding) for finding in findings(exported)}
    assert found["L2 vertebral body"][0]["121207", "255549009"] > 10


def test_a_report_without_a_segmentation_says_the_same(exported: Exported, tmp_path: Path) -> None:
    alone = replace(exported.wanted, kinds=frozenset({"sr"}))
    assert exported.again(tmp_path / "out", wanted=alone) == Missing()
    found = [in_report(group) for group in groups_of_scan(tmp_path / "out/sr.dcm")]
    both = [*groups(exported), *groups_of_scan(exported.folder / "sr.dcm")]
    assert found == [in_report(group) for group in both]
    assert faults_of(tmp_path / "out/sr.dcm") == []


def test_the_bundle_says_what_the_report_says(exported: Exported) -> None:
    both = [*groups(exported), *groups_of_scan(exported.folder / "sr.dcm")]
    assert [in_bundle(each) for each in observations(exported)] == [in_report(each) for each in both]
    sites = [each["bodySite"]["coding"][0] for each in observations(exported)]
    names = [site["display"] for site in sites]
    assert names == ["T12 vertebra", "L1 vertebra", "L2 vertebra", "Lumbar spine", "Spine"]
    assert {site["system"] for site in sites} == {SYSTEMS["SCT"]}


def test_a_withheld_grade_is_exported_as_not_evaluable(exported: Exported) -> None:
    numbers, coded = in_report(groups(exported)[1])
    assert ("42942008", "not-evaluable") in coded
    assert ("why-not", "unlike-training") in coded
    assert GENANT not in {name for name, _ in coded}
    lost = {name for name, _ in numbers}
    assert {"121207", "height-sd", "novelty"} <= lost
    assert {"height-loss", "height-intact", "largest-loss", "severity-scale", "122157"}.isdisjoint(lost)
    observation = observations(exported)[1]
    assert "valueCodeableConcept" not in observation
    assert observation["dataAbsentReason"]["text"] == "Not evaluable"


def test_grades_have_the_codes_of_their_grade(exported: Exported) -> None:
    assert {("42942008", "272519000"), (GENANT, "RDE1003.0")} <= in_report(groups(exported)[0])[1]
    assert {("42942008", "52101004"), (GENANT, "RDE1003.4"), ("246112005", "24484000")} <= in_report(
        groups(exported)[2]
    )[1]


def test_everything_belongs_to_the_patient_and_study_of_the_source(exported: Exported) -> None:
    own = source(exported)
    for file in dicom_files(exported):
        made = pydicom.dcmread(file)
        for tag in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
            assert made[tag].value == own[tag].value, (file.name, tag)
        assert made.SeriesInstanceUID != own.SeriesInstanceUID
        assert "RESEARCH USE ONLY" in made.SeriesDescription
        assert made.Manufacturer == "Vertegrade"
    assert pydicom.dcmread(exported.folder / "seg.dcm").FrameOfReferenceUID == own.FrameOfReferenceUID


def test_segments_lie_where_the_points_are(exported: Exported) -> None:
    seg = highdicom.seg.segread(exported.folder / "seg.dcm")
    assert [seg.get_segment_description(n).segment_label[:3].strip() for n in (1, 2, 3)] == ["T12", "L1", "L2"]
    volume = seg.get_volume(combine_segments=True)
    for number, finding in enumerate(findings(exported), start=1):
        assert finding.points_mm is not None
        voxels = np.argwhere(volume.array == number)
        centre = (volume.affine @ [*voxels.mean(axis=0), 1])[:3] * [-1, -1, 1]
        points = finding.points_mm
        assert np.abs(centre - points.mean(axis=0)).max() < 2.5, finding.level
        mm3 = len(voxels) * abs(np.linalg.det(volume.affine[:3, :3]))
        height = np.linalg.norm(points[0::2] - points[1::2], axis=1).mean()
        depth = 28 / 0.85
        assert 0.6 < mm3 / (height * depth * 1.3 * depth) < 1.0, finding.level
        assert seg.SegmentSequence[number - 1].TrackingUID == finding.tracking_uid


def test_markups_are_the_six_points_in_lps(exported: Exported) -> None:
    (listed,) = json.loads((exported.folder / "points.mrk.json").read_text(encoding="utf-8"))["markups"]
    assert listed["coordinateSystem"] == "LPS"
    labels = [f"{level} {name.replace('_', ' ')}" for level in ("T12", "L1", "L2") for name in POINTS]
    assert [point["label"] for point in listed["controlPoints"]] == labels
    first = next(row for row in exported.scan["vertebrae"] if row["vertebra"] == T12)["points_mm"][POINTS[0]]
    assert listed["controlPoints"][0]["position"] == pytest.approx([-first[0], -first[1], first[2]], abs=1e-4)


def test_pictures_say_what_they_are_in_their_pixels(exported: Exported) -> None:
    from vertegrade.export.capture import strip_picture
    from vertegrade.plotting import grey_values
    from vertegrade.report.strips import watermarked

    summary = pydicom.dcmread(exported.folder / "summary.dcm").pixel_array
    assert (summary[:26] == [255, 255, 0]).all(axis=2).sum() > 100  # yellow letters of the notice
    level, images, rows = next(exported.strips.of_scan("s1"))
    tiles = strip_picture(images, rows, level, exported.strips.window)
    np.testing.assert_array_equal(pydicom.dcmread(exported.folder / "synthetic-L1.dcm").pixel_array, tiles)
    last = watermarked(grey_values(images[-1][1], exported.strips.window), "SYNTHETIC grade 3")
    np.testing.assert_array_equal(tiles[:, -last.shape[1] :], last)
    for name in ("summary", "synthetic-L1"):
        made = pydicom.dcmread(exported.folder / f"{name}.dcm")
        assert list(made.ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert "SYNTHETIC" in pydicom.dcmread(exported.folder / "synthetic-L1.dcm").ImageComments


def test_dciodvfy_finds_no_error(exported: Exported) -> None:
    for file in dicom_files(exported):
        assert faults_of(file) == [], file.name


def test_dciodvfy_would_find_one(exported: Exported, tmp_path: Path) -> None:
    broken = pydicom.dcmread(exported.folder / "sr.dcm")
    del broken.CompletionFlag
    broken.save_as(tmp_path / "broken.dcm")
    assert faults_of(tmp_path / "broken.dcm")


def test_the_same_grades_give_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    assert exported.again(tmp_path / "again") == Missing()
    for file in exported.folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name
    assert L1  # the scan has a withheld vertebra
