"""The last step of every DICOM object: when it was made, and UIDs that follow from its content."""

import hashlib
from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from vertegrade.export.about import Maker
from vertegrade.export.findings import uid_of
from vertegrade.export.source import Source
from vertegrade.export.times import dated

# Whose number the patient's is: without it an archive of several hospitals may take two patients for one.
ISSUER = ("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence")


def finish(kind: str, datasets: Sequence[Dataset], source: Source, maker: Maker) -> None:
    """Date the objects of one series and give them their UIDs. Nothing may change in them afterwards.

    An archive takes two files of one SOPInstanceUID for the same, and drops the second or refuses it. So the UIDs
    follow from all that the objects contain: the same content replaces itself, and any other is another object. It is
    in a series of its own too, as viewers that show one report of a series could show the old one.
    """
    for dataset in datasets:
        dated(dataset, source.first, maker.made)
        for tag in ISSUER:
            if tag in source.first:  # highdicom copies it into some of its objects
                dataset[tag] = source.first[tag]
    digests = [_digest(dataset) for dataset in datasets]
    series = uid_of("vertegrade/series", kind, *digests)
    for dataset, digest in zip(datasets, digests, strict=True):
        dataset.SeriesInstanceUID = series
        dataset.SOPInstanceUID = uid_of("vertegrade/instance", series, digest)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _digest(dataset: Dataset) -> str:
    """SHA-256 of an object as it is written, without the file meta information, which names versions of libraries."""
    written = DicomBytesIO()
    written.is_little_endian, written.is_implicit_VR = True, False
    write_dataset(written, dataset)
    return hashlib.sha256(written.getvalue()).hexdigest()
