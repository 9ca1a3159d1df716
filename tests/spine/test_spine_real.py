"""Real CT from ../shared: centroids and masks of VerSe and TotalSegmentator through to crops."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from vertegrade.annotations.masks import body_centres
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, to_ras, voxel_to_mm
from vertegrade.reasons import Refused
from vertegrade.settings.spine import CropSettings, LocalizeSettings
from vertegrade.spine.crop import crop_scan
from vertegrade.spine.landmarks import provided_landmarks
from vertegrade.spine.straighten import crop_to_mm
from vertegrade.tables import POINT_COLUMNS

DATA = Path(__file__).parents[3] / "shared" / "data"
VERSE014 = DATA / "verse014" / "sub-verse014"
TOTAL = DATA / "totalsegmentator_example"
MASKS = DATA / "vertebra_masks"
XYZ = ["centre_x_mm", "centre_y_mm", "centre_z_mm"]

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the real CT of {DATA} is not on this machine"),
]


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return to_ras(np.asanyarray(image.dataobj), image.affine)


def volume_of(path: Path) -> Volume:
    hu, affine = load(path)
    return Volume(hu.astype(np.int16), affine)


def landmarks_of(volume: Volume, centroids: Path | str = "", mask: Path | str = "") -> pd.DataFrame:
    row = ScanRow("scan-1", "patient-1", "ct.nii.gz", centroids=str(centroids), mask=str(mask))
    return provided_landmarks(row, volume, LocalizeSettings())


@pytest.fixture(scope="module")
def verse014() -> tuple[Volume, pd.DataFrame]:
    volume = volume_of(Path(f"{VERSE014}_ct.nii.gz"))
    return volume, landmarks_of(volume, centroids=f"{VERSE014}_seg-vb_ctd.json")


@pytest.fixture
def totalsegmentator_mask(tmp_path: Path) -> Path:
    """The example's mask in VerSe's labels: TotalSegmentator counts upwards, 27-31 L5-L1, 32-43 T12-T1, 26 S1."""
    image = nib.load(TOTAL / "totalseg.nii.gz")
    ids = np.asanyarray(image.dataobj).astype(np.int16)
    verse = np.where((ids >= 27) & (ids <= 43), 51 - ids, np.where(ids == 26, 26, 0)).astype(np.uint8)
    nib.save(nib.Nifti1Image(verse, image.affine), tmp_path / "mask.nii.gz")
    return tmp_path / "mask.nii.gz"


def test_verse014_s_centroids_lie_in_the_labels_of_its_mask(verse014: tuple[Volume, pd.DataFrame]) -> None:
    _, table = verse014
    labels, affine = load(Path(f"{VERSE014}_seg-vert_msk.nii.gz"))
    voxels = np.rint(np.linalg.solve(affine, np.c_[table[XYZ], np.ones(len(table))].T)[:3]).astype(int)
    assert labels[tuple(voxels)].tolist() == table["vertebra"].tolist() == [20, 21, 22, 23, 24]


def test_verse014_s_mask_gives_its_centroids_to_a_millimetre(verse014: tuple[Volume, pd.DataFrame]) -> None:
    volume, given = verse014
    found = landmarks_of(volume, mask=f"{VERSE014}_seg-vert_msk.nii.gz")
    error = np.linalg.norm(found[XYZ].to_numpy() - given[XYZ].to_numpy(), axis=1)
    assert error.mean() < 0.8
    assert error.max() < 1.2


def test_verse014_s_mask_gives_six_points_whether_or_not_centroids_are_given(
    verse014: tuple[Volume, pd.DataFrame],
) -> None:
    volume, without = verse014
    mask, centroids = f"{VERSE014}_seg-vert_msk.nii.gz", f"{VERSE014}_seg-vb_ctd.json"
    assert without[POINT_COLUMNS].isna().all().all()
    both, alone = landmarks_of(volume, centroids, mask), landmarks_of(volume, mask=mask)
    np.testing.assert_array_equal(both[POINT_COLUMNS], alone[POINT_COLUMNS])
    middles = both[POINT_COLUMNS].to_numpy().reshape(-1, 6, 3).mean(axis=1)
    assert np.linalg.norm(middles - both[XYZ].to_numpy(), axis=1).max() < 3
    assert (both["source"] == "centroids").all()


def test_verse014_s_crops_are_all_evaluable_and_centred(verse014: tuple[Volume, pd.DataFrame]) -> None:
    volume, table = verse014
    pixels, frames, crops = crop_scan(volume, table, CropSettings(), 2.0)
    assert crops["evaluable"].tolist() == [True] * 5
    middles = [crop_to_mm(np.array([2, 31.5, 31.5]), frame, (5, 64, 64), 1.0, 4.0) for frame in frames]
    np.testing.assert_allclose(middles, table[XYZ], atol=0.01)
    # Bone in the middle, the canal's soft tissue behind it, bone again in the arch.
    body, canal = pixels[:, 2, 28:36, 24:40].mean(axis=(1, 2)), pixels[:, 2, 28:36, 50:53].mean(axis=(1, 2))
    assert (body > canal + 50).all()


def test_the_bodies_of_totalsegmentator_s_example_are_found_to_two_millimetres(
    totalsegmentator_mask: Path,
) -> None:
    labels, affine = load(totalsegmentator_mask)
    bodies, _ = load(TOTAL / "totalseg_vertebrae_body.nii.gz")
    found = body_centres(labels, affine, totalsegmentator_mask, None)
    for label in range(19, 25):
        true = voxel_to_mm(affine, np.argwhere((labels == label) & (bodies == 1)).mean(axis=0))
        assert np.linalg.norm(found[label].centre_mm - true) < 2.0


def test_totalsegmentator_s_example_has_five_evaluable_lumbar_crops(totalsegmentator_mask: Path) -> None:
    volume = volume_of(TOTAL / "example_ct.nii.gz")
    table = landmarks_of(volume, mask=totalsegmentator_mask)
    _, _, crops = crop_scan(volume, table, CropSettings(), 3.0)
    reasons = dict(zip(crops["vertebra"], crops["reason"], strict=True))
    assert reasons == {18: "mask_too_small", 19: "cut_by_scan_edge"} | dict.fromkeys(range(20, 25), "")


@pytest.mark.parametrize(
    ("name", "unsound"),
    [
        ("verse004", {}),
        ("verse010", {}),
        ("sample001", {}),
        ("healthivert0007", {16: "mask_too_small", 17: "cut_by_scan_edge"}),
    ],
)
def test_bodies_of_real_masks_lie_one_below_the_other(name: str, unsound: dict[int, str]) -> None:
    path = MASKS / f"sub-{name}_seg-vert_msk.nii.gz"
    image = nib.load(path)
    turned, affine = to_ras(np.zeros(image.shape, np.int16), image.affine)
    table = landmarks_of(Volume(turned, affine), mask=path)
    assert table.loc[~table["evaluable"]].set_index("vertebra")["reason"].to_dict() == unsound
    centres = table.loc[table["evaluable"], XYZ].to_numpy()
    off_line = centres[1:-1] - (centres[:-2] + centres[2:]) / 2
    assert np.abs(off_line).max() < 9.5


def test_another_patient_s_mask_is_refused(verse014: tuple[Volume, pd.DataFrame]) -> None:
    with pytest.raises(Refused, match="mask_other_grid"):
        landmarks_of(verse014[0], mask=MASKS / "sub-verse010_seg-vert_msk.nii.gz")
