"""Folders of a sheet and labels that pre-flight looks at."""

from pathlib import Path

import nibabel as nib
import numpy as np

from vertegrade.settings import Settings
from vertegrade.settings.loading import check_settings

HEADER = "patient_id,scan_id,vertebra,genant_grade\n"


def write_nifti(path: Path) -> Path:
    nib.Nifti1Image(np.zeros((4, 4, 12), np.int16), np.diag([1.0, 1, 2, 1])).to_filename(path)
    return path


def settings_of(folder: Path, **localize: str) -> Settings:
    names = {"sheet": str(folder / "sheet.csv"), "labels": str(folder / "labels.csv")}
    run = {"results": str(folder / "results"), "logs": str(folder / "logs")}
    return check_settings({"cohort": names, "localize": localize, "run": run})


def training_cohort(folder: Path, train: int, validation: int, labels: str = "") -> Settings:
    """A sheet of patients of given splits, each with an intact and a fractured vertebra, or with these labels."""
    splits = ["train"] * train + ["validation"] * validation
    rows = [f"s{n},p{n},{folder}/b.nii.gz,{split}\n" for n, split in enumerate(splits)]
    (folder / "sheet.csv").write_text("scan_id,patient_id,path,split\n" + "".join(rows))
    both = "".join(f"p{n},s{n},L1,0\np{n},s{n},L2,2\n" for n in range(len(splits)))
    (folder / "labels.csv").write_text(labels or HEADER + both)
    return settings_of(folder)
