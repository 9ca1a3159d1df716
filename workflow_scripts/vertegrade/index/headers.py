"""What the index needs of each header, read in several processes: a few tags, from the first bytes of the file."""

import hashlib
import io
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import nibabel as nib
import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import CTImageStorage, MediaStorageDirectoryStorage

from vertegrade.ct.archive import open_source
from vertegrade.ct.dicom import quiet_reading
from vertegrade.ct.headers import MULTI_FRAME
from vertegrade.ct.nifti_file import load_nifti
from vertegrade.reasons import Refused

Kind = Literal["ct", "localizer", "not_ct", "dicomdir", "not_dicom", "empty", "unreadable"]
TEXTS = [
    *("PatientID", "PatientSex", "PatientAge", "StudyDate", "AccessionNumber"),
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
]
READ_TAGS = [Tag(name) for name in (*TEXTS, "SOPClassUID", "Modality", "ImageType")]
LAST_TAG = Tag("SeriesInstanceUID")  # the last of them; elements are in the order of their tags
FRAMES_TAG = Tag("NumberOfFrames")
HEAD_BYTES = 8192  # contain LAST_TAG in nearly all files; the others are read again, completely
CHUNK = 200
PIECES, PIECE = 16, 1 << 16  # of a NIfTI, for its content: 1 MiB, at most, in pieces of 64 KiB


class DicomHeader(NamedTuple):
    """A file's kind; of a CT image also the values of TEXTS (never for an output of a run) and its number of slices."""

    kind: Kind
    texts: tuple[str, ...] = ("",) * len(TEXTS)
    slices: int = 0

    def text(self, name: str) -> str:
        """One of TEXTS."""
        return self.texts[TEXTS.index(name)]


class NiftiHeader(NamedTuple):
    """Sizes, type of voxels (numpy's letter and bytes, such as i2) and a key that copies of an image share.

    Images of two people may share the key, as it is only geometry and size. content: `nifti_content` where it was read,
    which tells them apart.
    """

    shape: tuple[int, ...]
    dtype: str
    key: str
    content: str = ""


def dicom_header(size: int, open_file: Callable[[], BinaryIO]) -> DicomHeader:
    """The header of one file; whatever is wrong with the file is a kind, never an error."""
    if size == 0:
        return DicomHeader("empty")
    try:
        with open_file() as stream:
            head = stream.read(HEAD_BYTES)
        if head[128:132] != b"DICM":
            return DicomHeader("not_dicom")
        with quiet_reading():
            dataset = _few_tags(head, LAST_TAG)
            if dataset is None or (size > HEAD_BYTES and "SeriesInstanceUID" not in dataset):
                with open_file() as stream:
                    dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(READ_TAGS))
            return _described(dataset, open_file)
    except MemoryError:
        raise
    except Exception:  # pydicom raises whatever a damaged element runs into; zipfile and zlib have their own errors
        return DicomHeader("unreadable")


def _few_tags(head: bytes, last: BaseTag) -> Dataset | None:
    """The tags up to `last` from a file's first bytes; None where they do not suffice to parse it."""
    try:
        return read_partial(io.BytesIO(head), lambda tag, vr, length: tag > last, specific_tags=list(READ_TAGS))
    except Exception:
        return None


def _described(dataset: Dataset, open_file: Callable[[], BinaryIO]) -> DicomHeader:
    sop_class = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    if sop_class == MediaStorageDirectoryStorage:
        return DicomHeader("dicomdir")
    modality = str(dataset.get("Modality") or "")
    if not sop_class or (sop_class in (CTImageStorage, *MULTI_FRAME) and not modality):
        return DicomHeader("unreadable")  # cut short
    if sop_class not in (CTImageStorage, *MULTI_FRAME) or modality != "CT":
        return DicomHeader("not_ct")
    kinds = dataset.get("ImageType") or []
    if "LOCALIZER" in ([kinds] if isinstance(kinds, str) else map(str, kinds)):
        return DicomHeader("localizer")
    slices = 1
    if sop_class in MULTI_FRAME:
        with open_file() as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=[FRAMES_TAG])
        slices = int(header.NumberOfFrames)
    # Blanks around a DICOM text mean nothing: ` 7` and `7` are one PatientID.
    return DicomHeader("ct", tuple(str(dataset.get(name) or "").strip() for name in TEXTS), slices)


def nifti_header(path: Path) -> NiftiHeader | None:
    """The header of a .nii or .nii.gz, from its first bytes; None where it is none."""
    try:
        image = load_nifti(path)
        shape, dtype = tuple(int(size) for size in image.shape), image.get_data_dtype()
        key = f"{shape} {image.affine.round(4).tolist()} {path.stat().st_size}"
    except MemoryError:
        raise
    except Exception:  # nibabel raises whatever a damaged header runs into
        return None
    return NiftiHeader(shape, f"{dtype.kind}{dtype.itemsize}", key) if isinstance(image, nib.Nifti1Image) else None


def nifti_content(path: Path) -> str | None:
    """What tells a NIfTI from every other one, wherever it lies: a hash of its size and of pieces all over the file.

    The first megabyte alone may be air, the same in two people. A gzip ends with the CRC of all that it contains, which
    is in the last piece. None where the file cannot be read.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as file:
            for number in range(PIECES):
                file.seek(max(size - PIECE, 0) * number // (PIECES - 1))
                digest.update(file.read(PIECE))
    except OSError:
        return None
    return digest.hexdigest()[:32]


def read_folder_files(paths: list[str], jobs: int) -> Iterator[list[DicomHeader]]:
    """The headers of files in folders, in the order of the paths and in chunks of at most CHUNK."""
    return _in_processes(_read_files, [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)], jobs)


def read_zips(paths: list[str], max_files: int, jobs: int) -> Iterator[list[tuple[str, DicomHeader]] | str]:
    """By zip: its members' names and headers, or the code of why it is not read (`ct.reasons`)."""
    return _in_processes(_read_zip, [(path, max_files) for path in paths], jobs)


def _in_processes(work: Callable, items: list, jobs: int) -> Iterator:
    """`work` on each item, results in order; in this process where one is enough."""
    if jobs == 1 or len(items) < 2:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(min(jobs, len(items)), mp_context=multiprocessing.get_context("fork")) as pool:
        yield from pool.map(work, items)


def _read_files(paths: list[str]) -> list[DicomHeader]:
    return [dicom_header(_size(path), partial(_open, path)) for path in paths]


def _open(path: str) -> BinaryIO:
    return open(path, "rb")


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1  # opening it fails too, and says that it is unreadable


def _read_zip(task: tuple[str, int]) -> list[tuple[str, DicomHeader]] | str:
    path, max_files = task
    try:
        with open_source(Path(path), max_files) as files:
            return [(file.name, dicom_header(file.size, file.open)) for file in files]
    except Refused as refusal:
        return refusal.reason
