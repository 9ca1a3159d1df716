"""The landmarks table: every given vertebra has a row, and implausible ones a reason."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from helpers.virtual import truth_of
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, voxel_to_mm
from vertegrade.levels import LABEL_OF
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.landmarks import implausible, moved_landmarks, provided_landmarks

SETTINGS = LocalizeSettings()
AFFINE = np.array([[1.0, 0, 0, -30], [0, 1.0, 0, -50], [0, 0, 2.0, -700], [0, 0, 0, 1]])
VOLUME = Volume(np.zeros((60, 60, 300), np.int16), AFFINE)


def column(labels: list[int], step: float = 25.0, top: float = -110.0) -> dict[int, np.ndarray]:
    """Centres of the given labels, one below the other."""
    return {label: np.array([0.0, -20.0 + 3 * (i % 2), top - step * i]) for i, label in enumerate(labels)}


def row_of(folder: Path, centres: dict[int, np.ndarray]) -> ScanRow:
    points = [
        {"label": label, **dict(zip("XYZ", np.linalg.solve(AFFINE, np.append(centre, 1))[:3].tolist(), strict=True))}
        for label, centre in centres.items()
    ]
    path = folder / "ctd.json"
    path.write_text(json.dumps([{"direction": ["R", "A", "S"]}, *points]))
    return ScanRow("scan-1", "patient-1", "ct.nii.gz", centroids=str(path))


def test_centres_come_back_in_mm_head_to_feet(tmp_path: Path) -> None:
    given = column([18, 19, 28, 20, 21])
    table = provided_landmarks(row_of(tmp_path, dict(reversed(given.items()))), VOLUME, SETTINGS)
    assert table["vertebra"].tolist() == [18, 19, 28, 20, 21]
    np.testing.assert_allclose(table[["centre_x_mm", "centre_y_mm", "centre_z_mm"]], list(given.values()), atol=1e-9)
    assert table["evaluable"].all()
    assert (table["source"] == "centroids").all()
    assert table["anterior_superior_x_mm"].isna().all()


def test_levels_that_are_not_graded_keep_their_row(tmp_path: Path) -> None:
    table = provided_landmarks(row_of(tmp_path, column([5, 6, 7, 8, 9], 16.0)), VOLUME, SETTINGS)
    assert table["reason"].tolist() == ["not_graded"] * 3 + ["", ""]
    assert table["evaluable"].tolist() == [False] * 3 + [True] * 2


def test_t13_is_graded_whatever_the_range(tmp_path: Path) -> None:
    settings = LocalizeSettings(first_vertebra=20, last_vertebra=24)
    table = provided_landmarks(row_of(tmp_path, column([19, 28, 20])), VOLUME, settings)
    assert table["evaluable"].tolist() == [False, True, True]


def test_a_centre_outside_the_scan_is_flagged(tmp_path: Path) -> None:
    given = column([20, 21, 22])
    given[22] = voxel_to_mm(AFFINE, np.array([20.0, 60.2, 200.0]))
    table = provided_landmarks(row_of(tmp_path, given), VOLUME, SETTINGS)
    assert table["reason"].tolist() == ["", "", "centre_outside_scan"]


def test_a_scan_with_all_centres_outside_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="direction") as caught:
        provided_landmarks(row_of(tmp_path, column([20, 21], top=300.0)), VOLUME, SETTINGS)
    assert caught.value.reason == "centroids_outside_scan"


def test_a_row_that_gives_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="scan-9") as caught:
        provided_landmarks(ScanRow("scan-9", "patient-1", "ct.nii.gz"), VOLUME, SETTINGS)
    assert caught.value.reason == "no_landmarks"


def test_a_plausible_spine_has_no_wrong_labels() -> None:
    assert implausible(column(list(range(1, 26)), 25.0), SETTINGS) == []


def test_missing_t12_and_present_t13_are_plausible() -> None:
    assert implausible(column([17, 18, 20, 21]), SETTINGS) == []
    assert implausible(column([18, 19, 28, 20]), SETTINGS) == []


def test_swapped_neighbours_both_go_and_nobody_else() -> None:
    centres = column(list(range(8, 20)))
    centres[12], centres[13] = centres[13], centres[12]
    assert sorted(implausible(centres, SETTINGS)) == [12, 13]


def test_one_misplaced_label_goes_alone() -> None:
    centres = column(list(range(8, 20)))
    centres[12] = centres[12] + [60.0, 0.0, 0.0]
    assert implausible(centres, SETTINGS) == [12]


def test_28_used_for_the_sacrum_goes_alone() -> None:
    centres = column([18, 19, 20, 21, 22, 23, 24])
    centres[LABEL_OF["T13"]] = centres[24] + [0.0, 0.0, -40.0]
    assert implausible(centres, SETTINGS) == [28]


def test_two_labels_on_one_vertebra_go() -> None:
    centres = column([18, 19, 20, 21, 22, 23])
    centres[21] = centres[20] + [0.0, 0.0, -2.0]
    assert 21 in implausible(centres, SETTINGS)


def test_nobody_is_trusted_where_most_are_wrong() -> None:
    heights = {8: 0.0, 9: -25.0, 10: 100.0, 11: 200.0, 12: 300.0}
    centres = {label: np.array([0.0, 0.0, z]) for label, z in heights.items()}
    assert implausible(centres, SETTINGS) == [8, 9, 10, 11, 12]


def test_labels_counted_from_the_feet_are_all_distrusted() -> None:
    centres = column([24, 23, 22, 21, 20])
    assert sorted(implausible(centres, SETTINGS)) == [20, 21, 22, 23, 24]


@pytest.mark.parametrize(("off_mm", "known"), [(0.0, True), (40.0, False)])
def test_points_are_taken_from_the_mask_only_where_its_vertebra_lies_at_the_centroid(
    tmp_path: Path, off_mm: float, known: bool
) -> None:
    mask = np.zeros(VOLUME.hu.shape, np.uint8)
    mask[10:50, 20:50, 150:162] = LABEL_OF["L1"]
    nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / "mask.nii.gz")
    centre = voxel_to_mm(AFFINE, np.array([29.5, 34.5, 155.5])) + np.array([0, 0, off_mm])
    row = replace(row_of(tmp_path, {LABEL_OF["L1"]: centre}), mask=str(tmp_path / "mask.nii.gz"))
    table = provided_landmarks(row, VOLUME, SETTINGS)
    assert table["anterior_superior_x_mm"].notna().all() == known


def test_a_centroid_without_its_vertebra_in_the_mask_has_no_points(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros(VOLUME.hu.shape, np.uint8), AFFINE), tmp_path / "mask.nii.gz")
    row = replace(row_of(tmp_path, column([20, 21])), mask=str(tmp_path / "mask.nii.gz"))
    table = provided_landmarks(row, VOLUME, SETTINGS)
    assert table["evaluable"].all()
    assert table["anterior_superior_x_mm"].isna().all()


def test_a_mask_is_searched_once_however_many_vertebrae_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of a whole CT takes a second."""
    searched, find = [], ndimage.find_objects

    def find_objects(labels: np.ndarray, **given: int) -> list[tuple[slice, ...] | None]:
        searched.append(labels.shape)
        return find(labels, **given)

    monkeypatch.setattr(ndimage, "find_objects", find_objects)
    mask, labels, tops = np.zeros(VOLUME.hu.shape, np.uint8), [18, 19, 20, 21], [150, 180, 210, 240]
    for label, top in zip(labels, tops, strict=True):
        mask[10:50, 20:50, top : top + 12] = label
    nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / "mask.nii.gz")
    centres = [voxel_to_mm(AFFINE, np.array([29.5, 34.5, top + 5.5])) for top in tops]
    row = replace(row_of(tmp_path, dict(zip(labels, centres, strict=True))), mask=str(tmp_path / "mask.nii.gz"))
    table = provided_landmarks(row, VOLUME, SETTINGS)
    assert table["anterior_superior_x_mm"].notna().sum() == len(labels)
    assert searched.count(mask.shape) == 1


def test_a_vertebra_without_a_position_is_left_out_with_a_flag(tmp_path: Path) -> None:  # field test B4
    row = row_of(tmp_path, column([18, 19, 20]) | {21: np.full(3, np.nan)})
    notes = Notes(flags={"metal"})
    table = provided_landmarks(row, VOLUME, SETTINGS, notes)
    assert (table["vertebra"].tolist(), table["evaluable"].all()) == ([18, 19, 20], True)
    assert notes.flags == {"metal", "unplaced_vertebra"}


@pytest.mark.parametrize("cut", [False, True])
def test_a_mask_fills_the_position_that_the_centroids_leave_open(cut: bool, tmp_path: Path) -> None:  # field test A8
    centres = column([18, 19, 20])
    labels = np.zeros(VOLUME.hu.shape, np.uint8)
    corner = np.rint(np.linalg.solve(AFFINE, np.append(centres[20], 1))[:3]).astype(int) - [15, 10, 5]
    labels[tuple(slice(low, low + size) for low, size in zip(corner, (31, 21, 11), strict=True))] = 20
    nib.save(nib.Nifti1Image(labels, AFFINE), tmp_path / "mask.nii.gz")
    row = replace(row_of(tmp_path, centres | {20: np.full(3, np.nan)}), mask=str(tmp_path / "mask.nii.gz"))
    hu = VOLUME.hu.copy()
    if cut:  # below the body the scan was never measured
        hu[:, :, : corner[2]] = -1024
    notes = Notes()
    table = provided_landmarks(row, Volume(hu, AFFINE), SETTINGS, notes).set_index("vertebra")
    assert table.loc[20, "reason"] == ("cut_by_scan_edge" if cut else "")
    np.testing.assert_allclose(
        table.loc[20, ["centre_x_mm", "centre_y_mm", "centre_z_mm"]].tolist(), centres[20], atol=1
    )
    assert (list(table.index), notes.flags) == ([18, 19, 20], set())


def test_given_landmarks_of_a_virtual_scan_are_where_its_bones_are_now() -> None:
    truth = truth_of([{"vertebra": label, "kind": "untouched"} for label in (7, 8, 28, 20)])
    truth[["centre_x_mm", "centre_y_mm", "centre_z_mm"]] = [list(at) for at in column([7, 8, 28, 20]).values()]
    truth.loc[1, "centre_z_mm"] = -50.0  # in a slice that the new scan lacks
    table = moved_landmarks(truth.iloc[::-1], VOLUME, SETTINGS)
    assert table["vertebra"].tolist() == [7, 8, 28, 20]
    assert table["reason"].tolist() == ["not_graded", "centre_outside_scan", "", ""]
    assert table["centre_z_mm"].tolist() == truth["centre_z_mm"].tolist()
    assert (table["source"] == "moved").all()
