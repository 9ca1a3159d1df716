"""A person planted into DICOM headers: names, ids, dates in every text tag, and a search for their bytes."""

import gzip
import io
import json
from pathlib import Path

import pandas as pd
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
# Tags that conversion needs, or that the sidecar's whitelist has (docs/inputs.md).
KEPT = {"RescaleType", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SpecificCharacterSet"}


def plant(dataset: Dataset, series: str) -> int:
    """Write the person into every text, date and name tag that DICOM has, private ones too; how many tags."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    count = 0
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if vr in VALUES and keyword and not retired and keyword not in KEPT and tag >> 16 not in (0x0000, 0x0002):
            dataset.add_new(tag, vr, VALUES[vr])
            count += 1
    dataset.PatientID, dataset.PatientComments, dataset.InstitutionName = f"{WORD}-ID", UMLAUT, f"{UMLAUT} {WORD}"
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
        f"{file}: {secret!r}" for file in files for secret in PLANTED if secret in _bytes(file) + str(file).encode()
    ]


def _bytes(file: Path) -> bytes:
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        return data + gzip.decompress(data)
    if file.suffix == ".parquet":
        return data + pd.read_parquet(io.BytesIO(data)).select_dtypes(exclude="number").to_csv().encode()
    return data
