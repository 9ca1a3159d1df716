"""One phantom patient with lesions, from the roster's row to files in the layout of the public data set."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.cohort.sheet import ScanRow
from vertegrade.files import new_file
from vertegrade.metastasis.layout.write_segmentation import write_segmentation
from vertegrade.metastasis.phantoms.lesions import Lesion, draw_lesions
from vertegrade.metastasis.phantoms.paint import paint_lesions, truth_of, vertebra_box
from vertegrade.metastasis.tables import LESION_TRUTH
from vertegrade.phantom.anatomy.grid import Grid
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.person import Patient
from vertegrade.phantom.anatomy.render import render
from vertegrade.phantom.scanner.dicom import Subject, series_header, write_series
from vertegrade.phantom.scanner.physics import acquire
from vertegrade.phantom.scanner.protocol import Protocol, draw_protocol, generator
from vertegrade.settings.metastasis import LesionPhantomSettings
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.tables import check_table

STUDY, CT, SEG = "01-01-2020-NA-PHANTOM SPINE-00001", "2.000000-PHANTOM CT-00002", "300.000000-Spine Segmentation-00003"


def make_lesion_scan(
    row: ScanRow, lesions: LesionPhantomSettings, phantom: PhantomSettings, seed: int, case: Path, codes_file: Path
) -> pd.DataFrame:
    """Draw, scan and write one phantom; returns its LESION_TRUTH. It follows from (seed, row, settings).

    Writes the CT series and the DICOM SEG of its vertebrae below the folder `case`, and the codes of lesions (paint.py)
    on the grid of the CT into `codes_file` (NIfTI, RAS).
    """
    patient = draw_patient(row.patient_id, phantom, seed)
    protocol = draw_protocol(row.scan_id, patient, phantom.acquisition, seed)
    drawn = draw_lesions(patient, lesions, seed)
    hu, mask = render(patient, protocol.fine_origin_mm, protocol.fine_shape, protocol.fine_spacing_mm)
    grid = Grid(np.asarray(protocol.fine_origin_mm, float), protocol.fine_shape, np.asarray(protocol.fine_spacing_mm))
    codes = paint_lesions(hu, mask, grid, patient, drawn)
    delivered = acquire(hu, protocol, generator(seed, "acquire", row.scan_id))
    at = np.rint(protocol.fine_index()).astype(int)
    write_series(delivered, protocol, Subject(row.patient_id, patient.age, patient.sex), seed, case / STUDY / CT)
    header = series_header(protocol, Subject(row.patient_id, patient.age, patient.sex), seed)
    header.SOPInstanceUID = f"{header.SeriesInstanceUID}.1"
    write_segmentation(
        case / STUDY / SEG / "1-1.dcm", mask[:, :, at], header, _positions(protocol), f"{header.SeriesInstanceUID}.9"
    )
    with new_file(codes_file) as temporary:
        nib.save(nib.Nifti1Image(np.ascontiguousarray(codes[:, :, at]), protocol.affine), temporary)
    return lesion_truth(row, patient, grid, mask, codes, drawn, at)


def lesion_truth(
    row: ScanRow,
    patient: Patient,
    grid: Grid,
    mask: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    drawn: dict[int, tuple[Lesion, ...]],
    at: NDArray[np.int64],
) -> pd.DataFrame:
    """LESION_TRUTH of the vertebrae that the delivered slices `at` show; mask and codes are of the drawing's grid."""
    rows = []
    for vertebra in patient.vertebrae:
        box = vertebra_box(grid, vertebra) if vertebra.label in patient.levels else None
        if box is None:
            continue
        own = mask[box] == vertebra.label
        low, high = np.flatnonzero(own.any(axis=(0, 1)))[[0, -1]] + box[2].start if own.any() else (0, -1)
        if high < at.min() or low > at.max():
            continue
        lesions = drawn.get(vertebra.label, ())
        rows.append(
            {"patient_id": row.patient_id, "scan_id": row.scan_id, "vertebra": vertebra.label}
            | {"lesions": len(lesions), "places": " ".join(sorted({lesion.place for lesion in lesions}))}
            | truth_of(codes[box], mask[box], vertebra.label, grid.spacing)
            | {"complete": bool(own.any() and low >= at.min() and high <= at.max())}
        )
    table = pd.DataFrame(rows, columns=list(LESION_TRUTH.columns))
    return check_table(table, LESION_TRUTH, f"lesions of {row.scan_id}")


def _positions(protocol: Protocol) -> NDArray[np.float64]:
    """ImagePositionPatient (k, 3; LPS mm) of the slices, as the series has them."""
    (x, y, z), (columns, rows, slices) = protocol.origin_mm, protocol.shape
    left, posterior = -(x + (columns - 1) * protocol.pixel_mm), -(y + (rows - 1) * protocol.pixel_mm)
    return np.array([[left, posterior, z + k * protocol.slice_spacing_mm] for k in range(slices)])
