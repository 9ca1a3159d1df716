"""The shipped networks on real CT that they were never trained on: every whole body is found where the mask has it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, to_ras
from vertegrade.localizer.landmarks import learned_landmarks, load_localizer
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.masks import body_centres, read_mask

ROOT = Path(__file__).parents[2]
VERSE014 = ROOT.parent / "shared" / "data" / "verse014"


def test_verse014_is_found_and_labelled() -> None:
    if not VERSE014.exists():
        pytest.skip("../shared/data/verse014 is not here")
    image = nib.load(VERSE014 / "sub-verse014_ct.nii.gz")
    hu, affine = to_ras(np.asarray(image.dataobj), image.affine)
    volume = Volume(np.ascontiguousarray(hu.astype(np.int16)), affine)
    mask = VERSE014 / "sub-verse014_seg-vert_msk.nii.gz"
    wanted = body_centres(read_mask(mask, volume.hu.shape, affine), affine, mask)
    localizer = load_localizer(ROOT / LocalizeSettings().weights, "cpu")
    row = ScanRow(scan_id="verse014", patient_id="verse014", path="")
    found = learned_landmarks(row, volume, localizer, LocalizeSettings(method="learned")).set_index("vertebra")
    for label, body in wanted.items():
        centre = found.loc[label, ["centre_x_mm", "centre_y_mm", "centre_z_mm"]].to_numpy(float)
        assert np.linalg.norm(centre - body.centre_mm) < 5
        assert found.loc[label, "evaluable"]
    assert len(found) <= len(wanted) + 1
