"""One phantom scan from the roster's row to files: DICOM series, VerSe annotations and the truth behind them."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.files import new_file
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.render import render
from vertegrade.phantom.scanner.dicom import Subject, write_series
from vertegrade.phantom.scanner.physics import acquire
from vertegrade.phantom.scanner.protocol import Protocol, draw_protocol, generator
from vertegrade.phantom.truth import truth_table
from vertegrade.settings.phantom import PhantomSettings


def make_scan(
    row: ScanRow, settings: PhantomSettings, seed: int, dicom_folder: Path, annotations_folder: Path
) -> pd.DataFrame:
    """Draw, scan and write one phantom; returns its truth (tables.PHANTOM_TRUTH). Follows from (seed, row, settings).

    Writes the series into `dicom_folder` (replacing it); `<scan_id>_seg-vert_msk.nii.gz` (VerSe labels on the grid of
    the delivered CT, RAS) and `<scan_id>_seg-vb_ctd.json` (body centres) go into `annotations_folder`.
    """
    patient = draw_patient(row.patient_id, settings, seed, later=float(row.months or 0) > 0)
    protocol = draw_protocol(row.scan_id, patient, settings.acquisition, seed)
    hu_fine, mask_fine = render(patient, protocol.fine_origin_mm, protocol.fine_shape, protocol.fine_spacing_mm)
    hu = acquire(hu_fine, protocol, generator(seed, "acquire", row.scan_id))
    subject = Subject(row.patient_id, patient.age, patient.sex)
    write_series(hu, protocol, subject, seed, dicom_folder)
    mask = mask_fine[:, :, np.rint(protocol.fine_index()).astype(int)]
    truth = truth_table(patient, protocol.origin_mm, protocol.shape, protocol.spacing_mm, row.scan_id)
    write_annotations(mask, truth, protocol, annotations_folder)
    return truth


def write_annotations(mask: np.ndarray, truth: pd.DataFrame, protocol: Protocol, folder: Path) -> None:
    """Write mask (uint8 [i, j, k] of `protocol.shape`) and centroids as VerSe does."""
    with new_file(folder / f"{protocol.scan_id}_seg-vert_msk.nii.gz") as temporary:
        image = nib.Nifti1Image(np.ascontiguousarray(mask), protocol.affine)
        image.set_qform(protocol.affine, code=1)
        nib.save(image, temporary)
    entries = centroids(truth, protocol)
    with new_file(folder / f"{protocol.scan_id}_seg-vb_ctd.json") as temporary:
        temporary.write_text(json.dumps(entries), encoding="utf-8")


def centroids(truth: pd.DataFrame, protocol: Protocol) -> list[dict[str, object]]:
    """VerSe's list: first the orientation, then body centres in voxels of the image turned to that orientation."""
    entries: list[dict[str, object]] = [{"direction": list(protocol.centroid_axes)}]
    centres = truth[["centre_x_mm", "centre_y_mm", "centre_z_mm"]].to_numpy()
    voxels = (centres - protocol.origin_mm) / protocol.spacing_mm
    turns = nib.orientations.axcodes2ornt(
        protocol.centroid_axes
    )  # of each axis of the turned image: axis of RAS, and sign
    for label, voxel in zip(truth["vertebra"], voxels, strict=True):
        turned = [
            voxel[int(axis)] if sign > 0 else protocol.shape[int(axis)] - 1 - voxel[int(axis)] for axis, sign in turns
        ]
        entries.append(
            {"label": int(label), **{name: round(float(v), 3) for name, v in zip("XYZ", turned, strict=True)}}
        )
    return entries
