"""The leakage guard: no patient and no image may be seen in two splits."""

import pandas as pd

from vertegrade.cohort.splits import LeakageError, split_of


def check_leakage(scans: pd.DataFrame, splits: pd.DataFrame) -> list[str]:
    """Raise LeakageError where one patient or one image is in two splits; return warnings otherwise.

    scans: SCANS rows of the whole cohort (scans without an image hash count for the patient check only).
    splits: PATIENT_SPLITS. An image is its pixels (`image_sha256`), so that the same series under two patient ids is
    found: the VerSe'19 scans inside VerSe'20 are such a case. The same image twice within one split leaks nothing but
    counts twice: a warning that names the scans.
    """
    named = scans[["scan_id", "patient_id", "image_sha256"]].copy()
    named["split"] = split_of(splits, named["patient_id"])
    problems, warnings = [], []
    for scan_id, rows in named.groupby("scan_id"):
        if rows["patient_id"].nunique() > 1:
            patients = ", ".join(sorted(rows["patient_id"].unique()))
            problems.append(f"scan {scan_id} is listed for several patients: {patients}")
    with_image = named[named["image_sha256"] != ""]
    for image, rows in with_image.groupby("image_sha256"):
        if len(rows) < 2:
            continue
        places = ", ".join(
            f"{row.scan_id} (patient {row.patient_id}, {row.split})"
            for row in rows.sort_values("scan_id").itertuples(index=False)
        )
        if rows["split"].nunique() > 1:
            problems.append(f"the same image {str(image)[:12]} is in several splits: {places}")
        else:
            warnings.append(f"the same image {str(image)[:12]} occurs {len(rows)} times: {places}")
    if problems:
        raise LeakageError(
            "data would leak between splits:\n"
            + "\n".join(f"  {problem}" for problem in problems)
            + "\nGive these scans one patient_id (or one split) in the sample sheet, or remove the copies."
        )
    return warnings
