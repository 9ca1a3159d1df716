"""Segmentation tools of the user's: played by a fake executable on the PATH."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helpers.fake_tools import install, install_fake
from vertegrade.annotations.tools import TOTALSEGMENTATOR_IDS, tool_mask
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume
from vertegrade.reasons import Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.landmarks import provided_landmarks, tool_landmarks

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
ROW = ScanRow("scan-1", "patient-1", "ct.nii.gz")


def volume() -> Volume:
    return Volume(np.zeros((40, 50, 70), np.int16), AFFINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def boxes(folder: Path, ids: list[int]) -> Path:
    """A label map of boxes of 20 x 15 x 12 voxels with the given ids, head to feet."""
    labels = np.zeros((40, 50, 70), np.uint8)
    for place, number in enumerate(ids):
        labels[10:30, 20:35, 52 - 18 * place : 64 - 18 * place] = number
    nib.save(nib.Nifti1Image(labels, AFFINE), folder / "made.nii.gz")
    return folder / "made.nii.gz"


def install_boxes(folder: Path, name: str, ids: list[int]) -> None:
    """A tool that makes such a map."""
    install_fake(folder, name, boxes(folder, ids))


def settings(method: str, minutes: float = 1.0) -> LocalizeSettings:
    return LocalizeSettings.model_validate({"method": method, "tool_minutes": minutes})


def test_totalsegmentator_s_ids_become_verse_s(folder: Path) -> None:
    install_boxes(folder, "TotalSegmentator", [33, 32, 31])
    table = tool_landmarks(ROW, volume(), settings("totalsegmentator"), "cpu")
    assert table["vertebra"].tolist() == [18, 19, 20]
    assert set(table["source"]) == {"totalsegmentator"}
    np.testing.assert_allclose(table[["centre_x_mm", "centre_y_mm", "centre_z_mm"]].iloc[0], [39, 54, 115])


def in_file(folder: Path, ids: list[int]) -> ScanRow:
    """A scan whose sheet names a mask of boxes with these ids."""
    return replace(ROW, mask=str(boxes(folder, ids)))


GIVEN = LocalizeSettings.model_validate({"method": "provided", "mask_labels": "totalsegmentator"})


def test_organs_of_a_map_of_totalsegmentator_on_disk_are_left_out(folder: Path) -> None:
    row = in_file(folder, [33, 32, 5])  # 5 is the liver there, and C5 in VerSe's labels
    assert provided_landmarks(row, volume(), GIVEN)["vertebra"].tolist() == [18, 19]


@pytest.mark.parametrize(
    ("ids", "reason"), [([19, 20], "no_vertebrae"), ([19, 28, 20], "no_vertebrae"), ([33, 32, 120], "unknown_label")]
)
def test_a_mask_that_cannot_be_totalsegmentators_is_refused(folder: Path, ids: list[int], reason: str) -> None:
    with pytest.raises(Refused, match="set it to verse") as caught:
        provided_landmarks(in_file(folder, ids), volume(), GIVEN)
    assert caught.value.reason == reason


def test_the_labels_of_given_masks_do_not_concern_the_tools(folder: Path) -> None:
    install_boxes(folder, "TotalSegmentator", [33, 32, 31])
    chosen = settings("totalsegmentator").model_copy(update={"mask_labels": "totalsegmentator"})
    assert tool_landmarks(ROW, volume(), chosen, "cpu")["vertebra"].tolist() == [18, 19, 20]


def test_the_ids_of_totalsegmentator_run_from_l5_27_to_c1_50() -> None:
    assert (TOTALSEGMENTATOR_IDS[27], TOTALSEGMENTATOR_IDS[32], TOTALSEGMENTATOR_IDS[43]) == (24, 19, 8)
    assert TOTALSEGMENTATOR_IDS[50] == 1
    assert len(TOTALSEGMENTATOR_IDS) == 24


def test_spineps_s_discs_and_endplates_are_left_out(folder: Path) -> None:
    install_boxes(folder, "spineps", [19, 119, 20])
    assert np.unique(tool_mask("scan-1", volume(), settings("spineps"), "cpu")).tolist() == [0, 19, 20]


def test_the_tool_s_way_to_the_network_is_closed_and_it_is_told_of_no_patient(folder: Path) -> None:
    install_boxes(folder, "spineps", [19, 20])
    tool_mask("scan-1", volume(), settings("spineps"), "cpu")
    seen = (folder / "seen").read_text()
    assert seen.startswith("http://127.0.0.1:9||sample -i")
    assert "-cpu" in seen
    assert "scan-1" not in seen


def test_a_tool_that_is_not_installed_is_refused_with_the_remedy(folder: Path) -> None:
    with pytest.raises(Refused, match="pip install TotalSegmentator") as caught:
        tool_mask("scan-1", volume(), settings("totalsegmentator"), "cpu")
    assert caught.value.reason == "tool_missing"


def test_a_tool_that_fails_is_refused_with_its_last_words(folder: Path) -> None:
    install(folder, "TotalSegmentator", "#!/bin/sh\necho weights are missing\nexit 3\n")
    with pytest.raises(Refused, match=r"status 3(.|\n)*weights are missing") as caught:
        tool_mask("scan-1", volume(), settings("totalsegmentator"), "cuda")
    assert caught.value.reason == "tool_failed"


def test_a_tool_that_takes_too_long_is_ended(folder: Path) -> None:
    install(folder, "TotalSegmentator", "#!/bin/sh\n/bin/sleep 60\n")
    with pytest.raises(Refused, match="tool_minutes"):
        tool_mask("scan-1", volume(), settings("totalsegmentator", 0.003), "cpu")


def test_a_tool_that_writes_nothing_is_refused(folder: Path) -> None:
    install(folder, "spineps", "#!/bin/sh\nexit 0\n")
    with pytest.raises(Refused, match="wrote 0 masks"):
        tool_mask("scan-1", volume(), settings("spineps"), "cpu")


def test_a_tool_that_finds_no_vertebra_is_refused_by_the_scan_s_name(folder: Path) -> None:
    install_boxes(folder, "spineps", [])
    with pytest.raises(Refused, match="scan-1: the mask of spineps") as caught:
        tool_landmarks(ROW, volume(), settings("spineps"), "cpu")
    assert caught.value.reason == "no_vertebrae"
