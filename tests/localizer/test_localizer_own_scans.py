"""A masked scan of the user becomes what the networks learn from: only what its mask knows."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from vertegrade.ct.reasons import Refused
from vertegrade.ct.volume import Volume
from vertegrade.levels import LABELS
from vertegrade.localizer.own_scans import own_scan
from vertegrade.phantom.patient import draw_patient
from vertegrade.phantom.render import render
from vertegrade.phantom.truth import truth_table
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.tables import POINT_COLUMNS

SPACING = (1.0, 1.0, 1.5)
SHOWN = [LABELS[name] for name in ("L1", "L2", "L3", "L4")]


@pytest.fixture(scope="module")
def scan() -> tuple[Volume, np.ndarray, np.ndarray]:
    """Volume, mask and true six points (4, 6, 3) of L1-L4 of a healthy phantom; T12 and L5 are in it without a mask."""
    settings = PhantomSettings(fractured_patients=0.0, mimics=0.0, subthreshold=0.0, variants=0.0, slips=0.0)
    patient = draw_patient("ph0001", settings, 3)
    box = patient.extent(LABELS["T12"], LABELS["L5"])
    origin = box[:, 0] - [4, 40, 4]
    shape = tuple(int(n) for n in np.ceil((box[:, 1] - origin + 6) / SPACING))
    hu, mask = render(patient, origin, (shape[0], shape[1], shape[2]), SPACING)
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = origin
    truth = truth_table(patient, origin, (shape[0], shape[1], shape[2]), SPACING, "s-1").set_index("vertebra")
    points = truth.loc[SHOWN, POINT_COLUMNS].to_numpy(float).reshape(-1, 6, 3)
    return Volume(hu.round().astype(np.int16), affine), np.where(np.isin(mask, SHOWN), mask, 0), points


def written(folder: Path, mask: np.ndarray, affine: np.ndarray) -> str:
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), folder / "mask.nii.gz")
    return str(folder / "mask.nii.gz")


def test_it_is_cut_to_the_bodies_that_the_mask_knows(
    scan: tuple[Volume, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    volume, mask, points = scan
    shown, table = own_scan(volume, written(tmp_path, mask, volume.affine))
    assert table["vertebra"].tolist() == SHOWN
    assert table["complete"].all()
    found = table[POINT_COLUMNS].to_numpy(float).reshape(-1, 6, 3)
    assert np.linalg.norm(found - points, axis=2).mean() < 1.5
    heights = [shown.affine[2, 3], shown.affine[2, 3] + (shown.hu.shape[2] - 1) * SPACING[2]]
    assert heights[0] == pytest.approx(found[..., 2].min() - 4, abs=SPACING[2])
    assert heights[1] == pytest.approx(found[..., 2].max() + 4, abs=SPACING[2])
    first = round((shown.affine[2, 3] - volume.affine[2, 3]) / SPACING[2])
    assert np.array_equal(shown.hu, volume.hu[:, :, first : first + shown.hu.shape[2]])


def test_a_mask_of_one_body_is_refused(scan: tuple[Volume, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    volume, mask, _ = scan
    with pytest.raises(Refused, match="fewer than two bodies"):
        own_scan(volume, written(tmp_path, np.where(mask == SHOWN[1], mask, 0), volume.affine))
