"""A scan with a person planted in its headers, and its export."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from helpers.person import UID_ROOT, UMLAUT, WORD, plant
from helpers.records import record_of
from helpers.series import body_hu, write_series
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.convert import convert_scan
from vertegrade.export.about import Maker, maker_of
from vertegrade.export.scan import Missing, Wanted, export_scan
from vertegrade.export.strips import DrawnStrips
from vertegrade.levels import LABEL_OF
from vertegrade.settings.ct import CtSettings
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import HEIGHTS, KEY, SPINE_CURVES, SPINE_MEASURES, check_table

KINDS = frozenset({"seg", "sr", "capture", "fhir", "markups", "totalsegmentator", "spineps"})
T12, L1, L2 = (LABEL_OF[name] for name in ("T12", "L1", "L2"))
ORIGIN = (-30.0, -8.0, -95.0)  # LPS mm; bodies stand at z = 0, -35, -70 (RAS), 0 to 28 mm behind y = 0


@dataclass(frozen=True)
class Exported:
    folder: Path
    row: ScanRow
    scan: dict[str, Any]
    maker: Maker
    wanted: Wanted
    volume: Path
    picture: Path
    strips: DrawnStrips

    def again(self, folder: Path, **changes: Any) -> Missing:
        """Export into another folder."""
        given: dict[str, Any] = {
            "row": self.row,
            "scan": self.scan,
            "wanted": self.wanted,
            "maker": self.maker,
            "volume": self.volume,
        }
        given |= {"picture": self.picture, "strips": self.strips}
        return export_scan(folder=folder, **(given | changes))


def with_person(dataset: Dataset, index: int) -> None:
    plant(dataset, "1")
    dataset.PatientSex, dataset.PatientName = "F", f"{UMLAUT}^{WORD}"
    dataset.FrameOfReferenceUID = f"{UID_ROOT}3"
    del dataset.TimezoneOffsetFromUTC  # a word is none


def source_with(folder: Path, **tags: Any) -> ScanRow:
    """The same scan with other tags in each slice, legal or not; one that is None is absent."""

    def change(dataset: Dataset, index: int) -> None:
        with_person(dataset, index)
        for tag, value in tags.items():
            if value is None:
                delattr(dataset, tag)
            else:
                setattr(dataset, tag, value)

    with disable_value_validation():
        return ScanRow("s1", "p1", str(write_series(folder, body_hu(60, 70, 60), places(), change=change)))


def places() -> np.ndarray:
    return np.array(ORIGIN) + np.arange(60)[:, None] * [0.0, 0.0, 2.0]


def strips_of(scan_id: str) -> DrawnStrips:
    rows = [(scan_id, L1, 0, picture, grade) for picture, grade in enumerate((0, 1, 3))]
    pictures = pd.DataFrame(rows, columns=[*KEY, "row", "picture", "wanted_grade"])
    images = np.random.default_rng(0).integers(-100, 800, (1, 5, 3, 32, 32)).astype(np.int16)
    return DrawnStrips(images, pictures, ReportSettings())


def bodies() -> pd.DataFrame:
    """SPINE_MEASURES: T12 has all, L1 a disc and HU (which its novelty forbids), L2 neither."""
    discs = [f"disc_{name}_mm" for name in HEIGHTS], [f"disc_{name}_error_mm" for name in HEIGHTS]
    columns = ["vertebra", "trabecular_hu", "trabecular_hu_error", "hu_reason", "hu_note", *discs[0], *discs[1]]
    rows = [
        (T12, 151.25, 4.5, "", "contrast_unknown", 5.1, 6.25, 4.3, 0.75, 0.8, 0.85, -1.25, 0.8),
        (L1, 95.0, 6.0, "", "contrast_unknown", 6.1, 7.25, 5.3, 0.75, 0.8, 0.85, 2.5, 0.8),
        (L2, np.nan, np.nan, "too_flat", "", *[np.nan] * 8),
    ]
    table = pd.DataFrame(rows, columns=[*columns, "slip_mm", "slip_error_mm"]).assign(patient_id="p1", scan_id="s1")
    return check_table(table.reindex(columns=list(SPINE_MEASURES.columns)), SPINE_MEASURES, "measures")


def curves() -> pd.DataFrame:
    """SPINE_CURVES: no kyphosis."""
    row = {"patient_id": "p1", "scan_id": "s1", "kyphosis_deg": np.nan, "kyphosis_error_deg": np.nan}
    row |= {"lordosis_deg": 41.5, "lordosis_error_deg": 2.25, "scoliosis_deg": 7.75, "scoliosis_error_deg": 2.5}
    return check_table(pd.DataFrame([row]), SPINE_CURVES, "curves")


def export_into(base: Path) -> Exported:
    """Write the scan into `base` and its export into `base/out`."""
    row = source_with(base / "dicom")
    severities: dict[int, float | str] = {T12: 0.2, L1: "unlike_training", L2: 2.7}
    record = record_of(severities, flags="doubtful_points", bodies=bodies(), curves=curves())
    picture = base / "s1.png"
    Image.new("RGB", (120, 80), "grey").save(picture)
    converted = convert_scan(row, base / "ct", CtSettings())
    assert converted["state"] == "done", converted
    made = Exported(
        folder=base / "out",
        row=row,
        scan=record["scans"][0],
        maker=maker_of("dae", "test", "2026-11-29T01:02:03+00:00"),
        wanted=Wanted(KINDS, 1, CtSettings()),
        volume=base / "ct/s1_ct.nii.gz",
        picture=picture,
        strips=strips_of("s1"),
    )
    missing = made.again(made.folder)
    assert missing == Missing(), missing
    return made
