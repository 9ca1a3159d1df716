"""Write a sample sheet of all CT below a folder, from headers alone: `make index DIR=...`.

docs/how-to/own-data.md says what becomes a row.
"""

import argparse
import os
import sys
from pathlib import Path

from vertegrade.index.folder import IndexingError, report_of, write_index
from vertegrade.index.pseudonyms import KeyFileError


def main() -> None:
    """Read the command line, write the files, say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of DICOM, zips and NIfTI, nested as it may be")
    parser.add_argument("--sheet", type=Path, default=Path("scans.csv"), help="sheet to write (%(default)s)")
    parser.add_argument("--key", type=Path, help="key file of the pseudonyms (SHEET.key.tsv); keep it to yourself")
    parser.add_argument("--replace", action="store_true", help="write a sheet anew that is there already")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (%(default)s)")
    given = parser.parse_args()
    key = given.key or given.sheet.with_suffix(".key.tsv")
    try:
        found = write_index(given.folder, given.sheet, key, given.replace, given.jobs)
    except (IndexingError, KeyFileError) as error:
        sys.exit(f"No sheet was written: {error}")
    patients = len({row.patient_id for row in found.rows})
    print(f"{given.sheet}: {len(found.rows)} scans of {patients} patients, from {found.files} files")
    for left_out in (found.files_left_out, found.images_left_out):
        if left_out:
            print("left out:", ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items())))
    for note in found.notes:
        print("note:", note)
    print(f"what was left out and why: {report_of(given.sheet)}")


if __name__ == "__main__":
    main()
