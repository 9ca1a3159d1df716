"""Where on the pages of the patients a vertebra is."""

import pandas as pd

from vertegrade.levels import NAMES


class PatientLinks:
    """Links from a page beside `patients/` to vertebrae. scans: SCANS, of which each patient's page has a section."""

    def __init__(self, scans: pd.DataFrame) -> None:
        ordered = scans.sort_values(["patient_id", "scan_id"])  # as on the patients' pages
        places = ordered.groupby("patient_id").cumcount()
        self._scans = {
            str(row.scan_id): f"patients/{row.patient_id}.html#v{place}-"
            for row, place in zip(ordered.itertuples(), places, strict=True)
        }

    def vertebra(self, scan: str, label: int) -> str:
        """The row of a vertebra (VerSe label) in its scan."""
        return f"{self._scans[scan]}{NAMES[label]}"
