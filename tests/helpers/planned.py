"""Runs that are planned and not run: a sheet of scans without content, and what a plan says of its jobs."""

import csv
import re
from pathlib import Path

TARGETS = ("all", "localization_pictures")  # that plans of everything ask for; they have no script


def write_sheet(folder: Path, scans: int, **columns: str) -> Path:
    sheet = folder / "sheet.csv"
    names = ["scan_id", "patient_id", "path", *columns]
    with sheet.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        for number in range(scans):
            (folder / f"scan{number}.nii.gz").touch()
            row = {"scan_id": f"s{number}", "patient_id": f"p{number}", "path": str(folder / f"scan{number}.nii.gz")}
            writer.writerow(row | columns)
    (folder / "labels.csv").write_text("patient_id,scan_id,vertebra,genant_grade\n")
    return sheet


def assert_reads(text: str, rule: str, part: str) -> None:
    """In the dry run printed as `text` there are jobs of a rule, and each has inputs whose paths contain `part`."""
    found = re.findall(rf"^rule {rule}:\n    input: (.*)$", text, re.MULTILINE)
    assert found, rule
    assert all(part in inputs for inputs in found), rule


def shards_of(rule: str, text: str) -> set[str]:
    """Shards of a rule's jobs in a printed dry run."""
    return set(re.findall(rf"^rule {rule}:\n(?:    .*\n)*?    wildcards: shard=(\d+)", text, re.MULTILINE))


def rules_in(text: str) -> set[str]:
    """Rules of the jobs in a printed run, without the targets."""
    return set(re.findall(r"^(?:local)?rule (\w+):", text, re.MULTILINE)) - set(TARGETS)
