"""A whole phantom scan: files, annotations, truth, time."""

import json
import time
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest

from helpers.phantom_protocols import protocol
from vertegrade.cohort.sheet import ScanRow
from vertegrade.files import sha256_of
from vertegrade.phantom.scanner.scan import centroids, make_scan
from vertegrade.settings.acquisition import AcquisitionSettings
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.tables import PHANTOM_TRUTH, check_table

ROW = ScanRow("ph0002-1", "ph0002", "unused")
SMALL = PhantomSettings(acquisition=AcquisitionSettings(max_voxels=2_000_000))


def make(folder: Path, settings: PhantomSettings = SMALL) -> pd.DataFrame:
    return make_scan(ROW, settings, 7, folder / "dicom", folder / "annotations")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("scan")
    return folder, make(folder)


def mask_of(folder: Path) -> nib.Nifti1Image:
    return nib.load(folder / "annotations" / "ph0002-1_seg-vert_msk.nii.gz")


def test_truth_keeps_its_contract_and_has_whole_vertebrae(scanned):
    table = check_table(scanned[1], PHANTOM_TRUTH, "truth")
    assert table["complete"].sum() >= 5


def test_mask_lies_on_the_grid_of_the_series(scanned):
    folder, _ = scanned
    mask = mask_of(folder)
    slices = [pydicom.dcmread(file) for file in (folder / "dicom").iterdir()]
    volume = highdicom.get_volume_from_series(slices, apply_presentation_lut=False).to_patient_orientation("RAS")
    to_ras = np.diag([-1, -1, 1, 1])
    np.testing.assert_allclose(to_ras @ volume.affine, mask.affine, atol=1e-3)
    assert volume.spatial_shape == mask.shape
    labels = np.asarray(mask.dataobj)
    assert volume.array[labels > 0].mean() > 150  # bone is where the mask is


def test_mask_holds_each_vertebra_at_its_centre(scanned):
    folder, truth = scanned
    mask = mask_of(folder)
    for row in truth[truth["complete"]].itertuples():
        voxel = np.linalg.inv(mask.affine) @ [row.centre_x_mm, row.centre_y_mm, row.centre_z_mm, 1]
        i, j, k = np.rint(voxel[:3]).astype(int)
        assert mask.dataobj[i, j, k] == row.vertebra


def test_centroids_refer_to_the_image_turned_to_their_direction(scanned):
    folder, truth = scanned
    entries = json.loads((folder / "annotations" / "ph0002-1_seg-vb_ctd.json").read_text())
    mask = mask_of(folder)
    wanted = nib.orientations.axcodes2ornt(entries[0]["direction"])
    turn = nib.orientations.ornt_transform(nib.io_orientation(mask.affine), wanted)
    turned = mask.as_reoriented(turn)
    for entry, row in zip(entries[1:], truth.itertuples(), strict=True):
        assert entry["label"] == row.vertebra
        world = turned.affine @ [entry["X"], entry["Y"], entry["Z"], 1]
        np.testing.assert_allclose(world[:3], [row.centre_x_mm, row.centre_y_mm, row.centre_z_mm], atol=0.01)


@pytest.mark.parametrize("axes", ["PIR", "RAS", "LPS"])
def test_centroids_in_each_orientation(axes):
    plan = protocol(centroid_axes=axes)
    truth = pd.DataFrame({"vertebra": [20], "centre_x_mm": [-18.325], "centre_y_mm": [36.0], "centre_z_mm": [-209.15]})
    expected = {"PIR": (18.0, 3.0, 2.0), "RAS": (2.0, 5.0, 1.0), "LPS": (21.0, 18.0, 1.0)}[axes]
    entry = centroids(truth, plan)[1]
    assert (entry["X"], entry["Y"], entry["Z"]) == pytest.approx(expected)


def test_the_same_seed_gives_the_same_bytes(scanned, tmp_path):
    folder, truth = scanned
    pd.testing.assert_frame_equal(make(tmp_path), truth)
    for name in ("dicom", "annotations"):
        assert sha256_of(tmp_path / name) == sha256_of(folder / name)


def test_a_scan_of_full_size_takes_seconds_of_one_core(tmp_path):
    start = time.process_time()
    make(tmp_path, PhantomSettings())
    assert time.process_time() - start < 6  # measured: about 1; the bound leaves room for slow machines
