"""Pseudonyms of patients and scans: a keyed hash, so that nobody without the key can try out known patient ids.

The key file contains the key and the table that leads back. It is readable by its owner alone and belongs outside of
the results: no rule reads it, so no output can contain it.
"""

import csv
import hashlib
import hmac
import io
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from vertegrade.files import new_file

DIGITS = 12
TEXTS = ["PatientID", "AccessionNumber", "StudyDate", "StudyInstanceUID", "SeriesInstanceUID"]
COLUMNS = ["scan_id", "patient_id", *TEXTS]


class KeyFileError(ValueError):
    """The key file cannot be used; the message says why and what to do."""


def read_key_file(path: Path) -> tuple[bytes, list[dict[str, str]]]:
    """Key and table (COLUMNS) of an existing key file; a new random key and no rows where there is no file."""
    if not path.exists():
        return secrets.token_bytes(32), []
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            first = file.readline().rstrip("\n")
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, csv.Error) as error:
        raise KeyFileError(f"{path}: the key file cannot be read ({type(error).__name__})") from error
    found = re.fullmatch(r"# key ([0-9a-f]{64})", first)
    if not found:
        raise KeyFileError(
            f"{path}: the first line is not `# key` and 64 hex digits; restore the file (without its key, pseudonyms "
            "change), or name another file"
        )
    return bytes.fromhex(found[1]), [{name: row.get(name) or "" for name in COLUMNS} for row in rows]


def pseudonym(key: bytes, kind: str, original: str) -> str:
    """`kind` (a letter) and 12 hex digits of HMAC-SHA256: two of a million patients agree with a chance of 0.2 %."""
    digest = hmac.new(key, f"{kind}/{original}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
    return kind + digest[:DIGITS]


def write_key_file(path: Path, key: bytes, rows: Iterable[dict[str, str]]) -> None:
    """Write key and table (COLUMNS; the last row of a scan counts), mode 0600 from the first byte on."""
    by_scan = {row["scan_id"]: row for row in rows}
    text = io.StringIO()
    text.write(f"# key {key.hex()}\n")
    writer = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(by_scan[scan] for scan in sorted(by_scan))
    with new_file(path, private=True) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", errors="surrogateescape")
