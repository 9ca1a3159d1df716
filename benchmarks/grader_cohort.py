"""The scans that the shipped grader learns from: phantoms with their truth, and public real scans without labels.

    .venv/bin/python benchmarks/grader_cohort.py FOLDER --shared ../shared/data
    .venv/bin/snakemake --cores 2 --configfile presets/grader.yaml --config 'cohort={"sheet": "FOLDER/sheet.csv"}'

Phantoms are those that the localizer learns from (`learning_scan`): half as the default cohort, half harder than real
scans. Real ones are LIDC-IDRI-0001 (`python tests/helpers/lidc.py`) and, in a folder of yours, TotalSegmentator's
example and ten crops of eight patients (public, CC BY). verse014 is left for checks. FOLDER gets `sheet.csv`,
`phantoms/` and `phantom_labels.csv`; a second call makes what is missing.
"""

import argparse
import csv
import sys
from pathlib import Path

import pandas as pd

from vertegrade.ct.volume import write_volume
from vertegrade.files import new_file
from vertegrade.levels import SACRUM
from vertegrade.phantom.training_scan import learning_scan
from vertegrade.tables import write_frame

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers.lidc import lidc_folder

SEED = 20261128
COLUMNS = ["scan_id", "patient_id", "path", "labels", "split"]
# Scan: patient, split, scanner. Patients of whom two parts of a scan are given are one patient.
LIDC, TOTALSEGMENTATOR = ("lidc0001", "train", "lidc"), ("totalseg", "train", "totalsegmentator")
UNLABELLED = {
    "lidc0314-upper": ("lidc0314", "train", "Philips Brilliance 16P"),
    "lidc0314-lower": ("lidc0314", "train", "Philips Brilliance 16P"),
    "nsclcr01-mid": ("nsclcr01", "validation", "Siemens B45f"),
    "nsclcr01-lower": ("nsclcr01", "validation", "Siemens B45f"),
    "lungfcp0001": ("lungfcp0001", "train", "Siemens B31f"),
    "cmbcrc01068": ("cmbcrc01068", "train", "GE LightSpeed VCT"),
    "acrinflt013": ("acrinflt013", "train", "Siemens Sensation 16"),
    "crlm1006": ("crlm1006", "train", "GE LightSpeed16"),
    "crlm1004": ("crlm1004", "validation", "GE LightSpeed16"),
    "cptacpda00189": ("cptacpda00189", "train", "GE Revolution CT"),
}


def real_rows(shared: Path) -> list[dict[str, str]]:
    """Sheet rows of the real scans that are on this machine; an error names what is missing."""
    lidc = lidc_folder()
    if lidc is None:
        sys.exit("LIDC-IDRI-0001 is not there; run: .venv/bin/python tests/helpers/lidc.py")
    rows = [_row("lidc0001", LIDC[0], lidc / "dicom", "", LIDC[1])]
    example = shared / "totalsegmentator_example/example_ct.nii.gz"
    rows.append(_row("totalseg", TOTALSEGMENTATOR[0], example, "", TOTALSEGMENTATOR[1]))
    for name, (patient, split, _) in UNLABELLED.items():
        rows.append(_row(name, patient, shared / f"unlabelled/{name}_ct.nii.gz", "", split))
    if missing := [row["path"] for row in rows if not Path(row["path"]).exists()]:
        sys.exit(f"{missing[0]} is not there (and {len(missing) - 1} more); give the folder by --shared")
    return rows


def phantom_rows(folder: Path, count: int) -> list[dict[str, str]]:
    """Sheet rows of phantom scans, which are made where they are missing, with their truth in one label table."""
    (folder / "phantoms").mkdir(parents=True, exist_ok=True)
    rows, labels = [], []
    for number in range(count):
        name = f"phantom{number:04d}"
        path, truth = folder / f"phantoms/{name}_ct.nii.gz", folder / f"phantoms/{name}.csv"
        if not (path.exists() and truth.exists()):
            volume, bodies = learning_scan(SEED, number)
            write_frame(truth.with_suffix(".tsv"), _labels(bodies, name))
            truth.with_suffix(".tsv").replace(truth)
            write_volume(path, volume, "PHANTOM, drawn")
        labels.append(pd.read_csv(truth, sep="\t", keep_default_na=False))
        rows.append(_row(name, name, path, folder / "phantom_labels.csv", ""))
    with new_file(folder / "phantom_labels.csv") as temporary:
        pd.concat(labels).to_csv(temporary, index=False)
    return rows


def _labels(bodies: pd.DataFrame, name: str) -> pd.DataFrame:
    """Label table of the bodies that a phantom scan shows completely."""
    rows = bodies[bodies["complete"] & (bodies["vertebra"] != SACRUM) & (bodies["vertebra"] >= 8)]
    return rows.assign(patient_id=name, scan_id=name)[["patient_id", "scan_id", "vertebra", "genant_grade", "shape"]]


def _row(scan: str, patient: str, path: Path, labels: Path | str, split: str) -> dict[str, str]:
    return dict(zip(COLUMNS, (scan, patient, str(path), str(labels), split), strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shared", type=Path, required=True, help="folder with the public real scans")
    parser.add_argument("--phantoms", type=int, default=160)
    given = parser.parse_args()
    rows = real_rows(given.shared) + phantom_rows(given.folder, given.phantoms)
    with new_file(given.folder / "sheet.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{given.folder}/sheet.csv: {len(rows)} scans, {given.phantoms} of them phantoms")
