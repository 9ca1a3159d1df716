"""Which scans the phantom cohort has; read while the Snakefile is parsed, so no numpy."""

import hashlib

from vertegrade.cohort.sheet import ScanRow, shard_of
from vertegrade.settings.phantom import PhantomSettings

FOLLOW_UP_MONTHS = (6, 48)  # the shortest and the longest time to a second scan


def phantom_rows(settings: PhantomSettings, shards: int, results: str) -> list[ScanRow]:
    """Rows of the phantom sample sheet, in the order of the patients; a larger cohort only adds rows.

    Patients are ph0001, ph0002, ...; scans ph0001-1 and, for the share `repeat_scans`, ph0001-2. Those of the share
    `follow_up` have months, and at their second scan what became of them (`anatomy/progression.py`).
    """
    rows = []
    for number in range(1, settings.patients + 1):
        patient_id = f"ph{number:04d}"
        months = [""] * (2 if _fraction("repeat", patient_id) < settings.repeat_scans else 1)
        if _fraction("follow-up", patient_id) < settings.follow_up:
            first, last = FOLLOW_UP_MONTHS
            months = ["0", str(first + int(_fraction("months", patient_id) * (last - first + 1)))]
        rows += [_row(patient_id, f"{patient_id}-{n}", when, shards, results) for n, when in enumerate(months, 1)]
    return rows


def _row(patient_id: str, scan_id: str, months: str, shards: int, results: str) -> ScanRow:
    folder = f"{results}/phantom/{shard_of(scan_id, shards)}"
    return ScanRow(
        scan_id=scan_id,
        patient_id=patient_id,
        path=f"{folder}/dicom/{scan_id}",
        mask=f"{folder}/annotations/{scan_id}_seg-vert_msk.nii.gz",
        centroids=f"{folder}/annotations/{scan_id}_seg-vb_ctd.json",
        months=months,
    )


def _fraction(of: str, patient_id: str) -> float:
    """A number in [0, 1) that depends on what it is of and on the patient's id alone."""
    return int.from_bytes(hashlib.sha256(f"{of}/{patient_id}".encode()).digest()[:8], "big") / 2**64
