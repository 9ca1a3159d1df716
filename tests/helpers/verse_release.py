"""A release of VerSe made of PHANTOMS: names, folders and grade sheet as published, and no patient in it."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import openpyxl

from vertegrade.cohort.verse19 import COLUMNS, SHAPE_OF, SHEET
from vertegrade.levels import NAMES
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.render import render
from vertegrade.phantom.scanner.physics import acquire
from vertegrade.phantom.scanner.protocol import draw_protocol, generator
from vertegrade.phantom.scanner.scan import centroids
from vertegrade.phantom.truth import truth_table
from vertegrade.settings.phantom import PhantomSettings

# The columns of the published sheet, in its order.
HEADER = [*COLUMNS[:3], "age_ct", "CT_device", "Res", "BMD", "DXA T-value", "CT_image_series", "N_vertebrae"]
HEADER += ["foreign_material", "N_Fx", *(name for name in COLUMNS[3:] if name.endswith("g"))]
HEADER += [name for name in COLUMNS[3:] if name.endswith("s")]
DATASET = {"training": "training", "validation": "validation public", "test": "test secret"}
CODE_OF = {shape: code for code, shape in SHAPE_OF.items()}
PIR = nib.orientations.axcodes2ornt("PIR")
# Subject, series and folder of VerSe'19. Subject 400 has two series, as in the original.
OF_2019 = [
    *((number, number, "training") for number in (4, 5, 6, 8)),
    (400, 90, "training"),
    (400, 155, "training"),
    *((number, number, "validation") for number in (13, 15)),
    *((number, number, "test") for number in (12, 20)),
]
OF_2020 = [("gl003", "training"), ("verse500", "training"), ("verse504", "test")]


def write_release(top: Path, settings: PhantomSettings, seed: int = 0) -> Path:
    """Both releases below `top`, in both layouts, and the grade sheet; returns the sheet.

    VerSe'19 lies as its subject-based release. Of VerSe'20 one subject lies so, two as in the MICCAI challenge, where a
    series of VerSe'19 is repeated. One vertebra of the sheet is `x`.
    """
    lines = []
    for subject, series, folder in OF_2019:
        name = f"sub-verse{subject:03d}" + (f"_split-verse{series:03d}" if series != subject else "")
        scan = _Scan(f"verse{subject:03d}", f"verse{series:03d}", settings, seed)
        scan.write_subject_based(top / f"dataset-verse19{folder}", f"sub-verse{subject:03d}", name)
        lines.append(scan.graded(subject, series, DATASET[folder], excluded=series == 4))
        if series == 8:
            scan.write_challenge(top / "challenge2020/verse008", "verse008")
    for name, folder in OF_2020:
        scan = _Scan(name, name, settings, seed)
        if name == "verse500":
            scan.write_subject_based(top / f"dataset-verse20{folder}", f"sub-{name}", f"sub-{name}_dir-ax")
        else:
            scan.write_challenge(top / f"dataset-verse20{folder}/{name}", name)
    return _write_sheet(top / "ryai190138_appendixe1.xlsx", lines)


class _Scan:
    """A phantom with its image and mask as VerSe stores them: axes to posterior, to the feet and to the right."""

    def __init__(self, patient: str, scan: str, settings: PhantomSettings, seed: int) -> None:
        drawn = draw_patient(patient, settings, seed)
        self.protocol = protocol = draw_protocol(scan, drawn, settings.acquisition, seed)
        fine, mask = render(drawn, protocol.fine_origin_mm, protocol.fine_shape, protocol.fine_spacing_mm)
        self.hu = acquire(fine, protocol, generator(seed, "acquire", scan))
        self.mask = mask[:, :, np.rint(protocol.fine_index()).astype(int)]
        self.truth = truth_table(drawn, protocol.origin_mm, protocol.shape, protocol.spacing_mm, scan)

    def write_subject_based(self, release: Path, subject: str, name: str) -> None:
        """`rawdata` and `derivatives` of a release."""
        self._save(self.hu, release / f"rawdata/{subject}/{name}_ct.nii.gz")
        self._save(self.mask, release / f"derivatives/{subject}/{name}_seg-vert_msk.nii.gz")
        file = release / f"derivatives/{subject}/{name}_seg-vb_ctd.json"
        counted = replace(self.protocol, centroid_axes="PIR")
        file.write_text(json.dumps(centroids(self.truth, counted)), encoding="utf-8")

    def write_challenge(self, folder: Path, name: str) -> None:
        """Image, mask and centroids side by side; the centroids are in millimetres and have no direction."""
        self._save(self.hu, folder / f"{name}_CT-ax.nii.gz")
        self._save(self.mask, folder / f"{name}_CT-ax_seg.nii.gz")
        points = [
            {"label": int(row.vertebra), "X": row.centre_x_mm, "Y": row.centre_y_mm, "Z": row.centre_z_mm}
            for row in self.truth.itertuples()
        ]
        (folder / f"{name}_CT-ax_iso-ctd.json").write_text(json.dumps(points), encoding="utf-8")

    def graded(self, subject: int, series: int, dataset: str, excluded: bool) -> dict[str, Any]:
        """The series' line of the grade sheet; the first vertebra is `x` where one was `excluded`."""
        rows = [row for row in self.truth.itertuples() if f"{NAMES[row.vertebra]}_fx-g" in HEADER]
        line: dict[str, Any] = dict(zip(COLUMNS[:3], (series, subject, dataset), strict=True))
        for place, row in enumerate(rows):
            left_out = excluded and place == 0
            line[f"{NAMES[row.vertebra]}_fx-g"] = "x" if left_out else int(row.genant_grade)
            line[f"{NAMES[row.vertebra]}_fx-s"] = "x" if left_out else CODE_OF[row.shape]
        return line | {"N_vertebrae": len(rows), "N_Fx": sum(row.genant_grade > 0 for row in rows)}

    def _save(self, voxels: np.ndarray, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(np.ascontiguousarray(voxels), self.protocol.affine).as_reoriented(PIR)
        path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def _write_sheet(path: Path, lines: list[dict[str, Any]]) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = SHEET
    for row in [HEADER, *([line.get(column) for column in HEADER] for line in lines)]:
        sheet.append(row)
    book.create_sheet("info").append(["verse_ID", "ID per image series"])
    book.save(path)
    return path
