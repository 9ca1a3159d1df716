"""Phantoms with two scans each, found, measured and graded: python benchmarks/followup_scans.py FOLDER 30.

The scans of presets/follow_up.yaml without the workflow around them, patient by patient, into tables that
benchmarks/followup.py reads. A second call goes on where the first one ended. Needs about 6 s of CPU per patient.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd

from vertegrade.api import OpenModel, grade_volume, open_model
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.convert import read_scan
from vertegrade.phantom.roster import phantom_rows
from vertegrade.phantom.scanner.scan import make_scan
from vertegrade.reasons import Refused
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.spine.indices import measure
from vertegrade.tables import (
    LANDMARKS,
    MEASUREMENTS,
    PHANTOM_TRUTH,
    PREDICTIONS,
    SCANS,
    empty_table,
    write_table,
)


def main() -> None:
    """Make what is missing of the patients' tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("patients", type=int)
    parser.add_argument("--seed", type=int, default=32)
    given = parser.parse_args()
    settings = PhantomSettings(patients=given.patients, follow_up=1.0)
    model = open_model("shipped", "cpu")
    rows: dict[str, list[ScanRow]] = {}
    for row in phantom_rows(settings, 1, ""):
        rows.setdefault(row.patient_id, []).append(row)
    for patient, its in rows.items():
        if (given.folder / f"measurements/{patient}.parquet").is_file():
            continue
        made = [_scan(row, settings, given.seed, model) for row in its]
        schemas = {
            "phantom/{}/truth.parquet": PHANTOM_TRUTH,
            "landmarks/{}_scans.parquet": SCANS,
            "landmarks/{}.parquet": LANDMARKS,
            "predictions/{}_dae.parquet": PREDICTIONS,
            "measurements/{}.parquet": MEASUREMENTS,  # last: it says that the patient is complete
        }
        for (name, schema), parts in zip(schemas.items(), zip(*made, strict=True), strict=True):
            path = given.folder / name.format(patient)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(path, pd.concat(parts, ignore_index=True), schema)
        print(patient, [len(part) for part in made[1]], flush=True)


def _scan(row: ScanRow, settings: PhantomSettings, seed: int, model: OpenModel) -> tuple[pd.DataFrame, ...]:
    """PHANTOM_TRUTH, SCANS, LANDMARKS, PREDICTIONS and MEASUREMENTS of one scan."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "annotations").mkdir()
        truth = make_scan(row, settings, seed, Path(folder, "dicom"), Path(folder, "annotations"))
        try:
            scan = read_scan(Path(folder, "dicom"), model.settings.ct)
            named = replace(row, path="", mask="", centroids="")
            graded = grade_volume(scan.volume, model, scan.notes.flags, scan.slice_thickness_mm, named)
        except Refused as refused:
            state = _state(row, refused.state, refused.reason, float("nan"))
            return truth, state, *(empty_table(schema) for schema in (LANDMARKS, PREDICTIONS, MEASUREMENTS))
    measured = measure(graded.landmarks, model.heights)
    return (
        truth,
        _state(row, "done", "", scan.slice_thickness_mm),
        graded.landmarks,
        graded.predictions["dae"],
        measured,
    )


def _state(row: ScanRow, state: str, reason: str, thickness_mm: float) -> pd.DataFrame:
    """The scan's row of SCANS; what nobody asks for here is empty."""
    about: dict[str, object] = {
        name: "" if str(column.dtype) == "str" else 0.0 for name, column in SCANS.columns.items()
    }
    about |= {"patient_id": row.patient_id, "scan_id": row.scan_id, "state": state, "reason": reason}
    return SCANS.validate(pd.DataFrame([about | {"slice_thickness_mm": thickness_mm}]))


if __name__ == "__main__":
    main()
