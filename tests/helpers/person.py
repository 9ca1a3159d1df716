"""A person planted into DICOM headers: names, ids, dates in every text tag, and a search for their bytes."""

import base64
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from PIL import Image
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

NAME, WORD, UMLAUT, DATE, YEARS = "Plantikow^Zebedea", "PLANTEDTEXT77", "Plänterwälder", "19010203", "121Y"
UID_ROOT = "1.2.826.0.1.3680043.8.498.77123."
# What must not be found: in UTF-8, and as JSON and HTML write what is not ASCII.
PLANTED = [b"Plantikow", b"Zebedea", WORD.encode(), DATE.encode(), b"1901-02-03", b"498.77123"]
PLANTED += [UMLAUT.encode(), UMLAUT.encode("latin-1"), json.dumps(UMLAUT).strip('"').encode()]
PLANTED += [b"Pl&auml;nterw&auml;lder"]
VALUES = {"PN": NAME, "DA": DATE, "DT": f"{DATE}112233.5", "TM": "112233.5", "AS": YEARS, "UR": f"http://{WORD}"}
VALUES |= dict.fromkeys(("LO", "SH", "LT", "ST", "UT", "UC", "AE"), WORD)
# Tags that conversion needs, or that the sidecar's whitelist has (docs/reference/inputs.md).
KEPT = {"RescaleType", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SpecificCharacterSet"}
# Runs that may be base64, and the files in which other files stand as such runs.
BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}")
PAGES = {".html", ".js", ".json", ".svg"}


def plant(dataset: Dataset, series: str) -> int:
    """Write a person into every text, date and name tag that DICOM has, private ones too; how many tags."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    count = 0
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if vr in VALUES and keyword and not retired and keyword not in KEPT and tag >> 16 not in (0x0000, 0x0002):
            dataset.add_new(tag, vr, VALUES[vr])
            count += 1
    dataset.PatientID, dataset.PatientComments, dataset.InstitutionName = f"{WORD}-{series}", UMLAUT, f"{UMLAUT} {WORD}"
    block = dataset.private_block(0x0099, f"{WORD} private", create=True)
    block.add_new(0x01, "LO", f"{WORD} {UMLAUT}")
    for name in ("StudyInstanceUID", "FrameOfReferenceUID"):
        setattr(dataset, name, f"{UID_ROOT}1")
    dataset.SeriesInstanceUID = f"{UID_ROOT}2.{series}"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(UID_ROOT)
    return count


def found_in(files: list[Path]) -> list[str]:
    """Files that hold any of the planted bytes, unpacked, or in their own name."""
    return [
        f"{file}: {secret!r}"
        for file in files
        for secret in PLANTED
        if any(secret in data for data in [*_unpacked(file.read_bytes(), file.suffix), *_names(file)])
    ]


def _names(file: Path) -> Iterator[bytes]:
    """The path, and the path after which Snakemake calls its metadata of a file, in base64."""
    yield str(file).encode()
    if file.parent.name == "metadata":
        yield base64.b64decode(file.name)


def _unpacked(data: bytes, suffix: str) -> Iterator[bytes]:
    """The bytes, and what is packed in them: gzip, zip, Parquet, texts of PNG, base64 (files in a page)."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield from _unpacked(gzip.decompress(data), "")
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                yield member.filename.encode()
                yield from _unpacked(archive.read(member), Path(member.filename).suffix)
    elif data[:4] == b"PAR1":
        yield pd.read_parquet(io.BytesIO(data)).select_dtypes(exclude="number").to_csv().encode()
    elif data[:4] == b"\x89PNG":
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            yield json.dumps({key: str(value) for key, value in image.info.items()}, ensure_ascii=False).encode()
    elif suffix in PAGES:
        for run in BASE64.findall(data):
            yield from _unpacked(base64.b64decode(run[: len(run) - (len(run) % 4 == 1)] + b"=="), "")
