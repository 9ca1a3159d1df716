"""Which image a mask and centroids belong to: never one of another patient, however alike the names are."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from vertegrade.cohort.sheet import ScanRow, read_sheet
from vertegrade.index.folder import write_index
from vertegrade.index.found import Found

CENTROIDS = '[{"direction": ["P", "I", "R"]}, {"label": 20, "X": 1.0, "Y": 2.0, "Z": 3.0}]'


def write(top: Path, *names: str) -> None:
    """Images, masks and centroids of these paths, all of one size, as CT of one protocol are."""
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            path.write_text(CENTROIDS)
            continue
        origin = sum(str(path).encode())  # no two images share a header
        dtype = np.uint8 if "_seg" in path.name else np.int16
        nib.Nifti1Image(np.zeros((6, 7, 12), dtype), np.eye(4) + np.eye(4, k=3) * origin).to_filename(path)


def indexed(top: Path) -> tuple[dict[str, ScanRow], Found]:
    """Rows by the path of their image below `top`."""
    sheet = top.parent / "scans.csv"
    found = write_index(top, sheet, top.parent / "scans.key.tsv", replace=True, jobs=1)
    return {Path(row.path).relative_to(top).as_posix(): row for row in read_sheet(sheet)}, found


def given(top: Path) -> dict[str, tuple[str, str]]:
    """Mask and centroids of each image, all below `top`."""
    rows, _ = indexed(top)
    short = {
        name: tuple(path.removeprefix(f"{top}/") for path in (row.mask, row.centroids)) for name, row in rows.items()
    }
    return short  # type: ignore[return-value]


def test_a_patient_without_a_mask_does_not_get_that_of_another_folder(tmp_path: Path) -> None:
    top = tmp_path / "in"
    write(top, "p1/ct.nii.gz", "p1/ct_seg.nii.gz", "p1/ct_ctd.json", "p2/ct.nii.gz")
    assert given(top) == {
        "p1/ct.nii.gz": ("p1/ct_seg.nii.gz", "p1/ct_ctd.json"),
        "p2/ct.nii.gz": ("", ""),
    }


def test_masks_in_a_folder_of_their_own_are_not_used_and_told(tmp_path: Path) -> None:
    top = tmp_path / "in"
    write(top, "images/a.nii.gz", "images/b.nii.gz", "labels/a_seg.nii.gz", "labels/b_seg.nii.gz")
    rows, found = indexed(top)
    assert {row.mask for row in rows.values()} == {""}
    (note,) = [note for note in found.notes if "belong to no image" in note]
    assert note.startswith("2 masks or centroids belong to no image")
    assert f"{top}/labels/a_seg.nii.gz; put each next to its image" in note


@pytest.mark.parametrize("style", ["sub-{}_ct.nii.gz", "sub-verse{}_ct.nii.gz", "sub-{}_ses-1_ct.nii.gz"])
def test_names_that_say_the_subject_find_each_other_in_parallel_trees(style: str, tmp_path: Path) -> None:
    top = tmp_path / "in"
    images = {number: style.format(number) for number in ("001", "002")}
    masks = {number: name.replace("_ct", "_seg-vert_msk") for number, name in images.items()}
    for number, name in images.items():
        write(top, f"rawdata/sub-{number}/{name}", f"derivatives/sub-{number}/{masks[number]}")
    assert given(top) == {
        f"rawdata/sub-{number}/{name}": (f"derivatives/sub-{number}/{masks[number]}", "")
        for number, name in images.items()
    }


@pytest.mark.parametrize("broken", [False, True])
def test_one_name_at_two_sites_is_two_people(broken: bool, tmp_path: Path) -> None:
    """The second is left out, since its id is taken; its mask is not given to the first, even if it is damaged."""
    top = tmp_path / "in"
    write(top, "a/rawdata/sub-01_ct.nii.gz", "b/rawdata/sub-01_ct.nii.gz", "b/derivatives/sub-01_seg.nii.gz")
    if broken:
        (top / "b/rawdata/sub-01_ct.nii.gz").write_bytes(b"x" * 400)
    assert given(top) == {"a/rawdata/sub-01_ct.nii.gz": ("", "")}


def test_a_mask_as_near_to_two_images_of_its_name_is_nobody_s(tmp_path: Path) -> None:
    top = tmp_path / "in"
    write(top, "a/sub-01_ct.nii.gz", "b/sub-01_ct.nii.gz", "masks/sub-01_seg.nii.gz")
    _, found = indexed(top)
    assert given(top) == {"a/sub-01_ct.nii.gz": ("", "")}
    assert any("or to several equally" in note for note in found.notes)


def test_two_images_of_a_folder_share_no_mask(tmp_path: Path) -> None:
    top = tmp_path / "in"
    write(top, "x.nii.gz", "x_ct.nii.gz", "x_ct_seg.nii.gz", "x_ctd.json")
    assert given(top) == {"x.nii.gz": ("", "x_ctd.json"), "x_ct.nii.gz": ("x_ct_seg.nii.gz", "")}


def test_one_image_in_two_forms_keeps_its_mask(tmp_path: Path) -> None:
    top = tmp_path / "in"
    write(top, "x.nii", "x.nii.gz", "x_seg.nii.gz")
    assert given(top) == {"x.nii": ("x_seg.nii.gz", "")}
