"""Coverage-guided fuzz of the parsers of untrusted files; stops at the first error that is not their own.

atheris is not in the lock. In a separate environment that sees this project's packages:

    python3.11 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris
    echo "$PWD/.venv/lib/python3.11/site-packages" > /tmp/fuzz/lib/python3.11/site-packages/project.pth
    /tmp/fuzz/bin/pip install --no-deps --editable .
    /tmp/fuzz/bin/python benchmarks/fuzz.py verse \
        CORPUS_FOLDER -max_total_time=75 -timeout=25 -rss_limit_mb=3000 -max_len=8192

with a few good files in CORPUS_FOLDER. What was run and found: docs/reference/inputs.md.
"""

import io
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["vertegrade", "yaml"]):
    from vertegrade.annotations.verse import read_centroids
    from vertegrade.cohort.labels import LabelError, read_label_table
    from vertegrade.cohort.sheet import SheetError, has_splits, sheet_rows
    from vertegrade.ct.archive import open_source
    from vertegrade.ct.nifti import convert_nifti
    from vertegrade.index.headers import dicom_header, nifti_header
    from vertegrade.index.pseudonyms import KeyFileError, read_key_file
    from vertegrade.preflight.config import read_settings
    from vertegrade.reasons import Refused
    from vertegrade.settings.ct import CtSettings

GRID = (40, 50, 60), np.diag([1.0, 1.0, 2.0, 1.0])
SETTINGS = CtSettings(max_voxels=2_000_000)


def sheet(path: Path) -> None:
    has_splits(str(path))
    sheet_rows(str(path))


def members(path: Path) -> None:
    with open_source(path, max_files=1000) as files:
        for file in files[:20]:
            dicom_header(file.size, file.open)


def nifti(path: Path) -> None:
    nifti_header(path)
    convert_nifti(path, SETTINGS)


def dicom(path: Path) -> None:
    data = path.read_bytes()
    dicom_header(len(data), lambda: io.BytesIO(data))


# What is tried: suffix of its files, the parser, and the errors that are its answer.
TARGETS: dict[str, tuple[str, Callable[[Path], object], tuple[type[Exception], ...]]] = {
    "sheet": (".csv", sheet, (SheetError,)),
    "labels": (".csv", read_label_table, (LabelError,)),
    "verse": (".json", lambda path: read_centroids(path, *GRID), (Refused,)),
    "zip": (".zip", members, (Refused,)),
    "nifti": (".nii", nifti, (Refused,)),
    "config": (".yaml", lambda path: read_settings([str(path)]), ()),
    "dicom": (".dcm", dicom, ()),
    "key": (".tsv", read_key_file, (KeyFileError,)),
}


def main() -> None:
    name, options = sys.argv[1], sys.argv[2:]
    suffix, parse, answers = TARGETS[name]
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"tried{suffix}")

        def one(data: bytes) -> None:
            path.write_bytes(data)
            with suppress(*answers):
                parse(path)

        atheris.Setup([sys.argv[0], *options], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
