"""The files of a folder or a zip, one by one. Nothing is unpacked to disk, so no member name ever becomes a path."""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from vertegrade.files import is_litter
from vertegrade.reasons import Refused

# Deflate gives at most about 1030:1; CT slices of air and padding stay below 100:1.
MAX_RATIO = 200
SMALL_BYTES = 64 * 2**20


@dataclass(frozen=True)
class SourceFile:
    """One file of a scan. name: relative to the scan's path, for messages. open: a new binary stream at its start.

    zipped: seeking in its stream unpacks everything before that place.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    zipped: bool = False


@contextmanager
def open_source(path: Path, max_files: int) -> Iterator[list[SourceFile]]:
    """The files below a folder or in a zip, sorted by name, without litter (`.snakemake_timestamp`, `Thumbs.db`).

    Raises Refused where there are too many, or where the zip is damaged, encrypted or unsafe.
    """
    if path.is_dir():
        yield _folder_files(path, max_files)
        return
    try:
        archive = zipfile.ZipFile(path)
    except MemoryError:
        raise
    except Exception as error:  # zipfile raises whatever a damaged directory runs into (UnicodeDecodeError, ...)
        raise Refused("broken_archive", f"{path}: the zip cannot be opened; copy it again") from error
    with archive:
        yield _zip_files(path, archive, max_files)


def _folder_files(folder: Path, max_files: int) -> list[SourceFile]:
    files: list[SourceFile] = []
    for parent, _, names in os.walk(folder, onerror=_unreadable):
        for name in names:
            file = Path(parent, name)
            if not is_litter(name) and file.is_file():
                files.append(file_source(file, file.relative_to(folder).as_posix()))
        _check_count(folder, len(files), max_files)
    return sorted(files, key=lambda file: file.name)


def file_source(file: Path, name: str) -> SourceFile:
    """A file on disk as a scan's; name: for messages."""
    return SourceFile(name, file.stat().st_size, _file_opener(file))


def _unreadable(error: OSError) -> None:
    raise Refused("path_missing", f"{error.filename}: the folder cannot be read; check its permissions") from error


def _zip_files(path: Path, archive: zipfile.ZipFile, max_files: int) -> list[SourceFile]:
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]  # is_dir fails on ""
    _check_count(path, len(members), max_files)
    for member in members:
        _check_member(path, member)
    unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if unpacked > SMALL_BYTES and unpacked > MAX_RATIO * packed:
        raise Refused(
            "unsafe_archive",
            f"{path}: {packed} bytes would unpack to {unpacked} (more than {MAX_RATIO}:1); unpack it yourself if it is "
            "what it should be and give the folder",
        )
    visible = [member for member in members if not is_litter(PurePosixPath(member.filename).name)]
    files = [SourceFile(item.filename, item.file_size, _member_opener(archive, item), zipped=True) for item in visible]
    return sorted(files, key=lambda file: file.name)


def _check_count(path: Path, count: int, max_files: int) -> None:
    if count > max_files:
        raise Refused("too_many_files", f"{path}: {count} files, more than ct.max_files = {max_files}; give one series")


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    """Members are only read, never written; a zip that tries to escape is still no scan that one should trust."""
    name = member.filename.replace("\\", "/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/") or kind not in (0, stat.S_IFREG):
        raise Refused(
            "unsafe_archive",
            f"{path}: a member is absolute, climbs out of the zip ('..') or is a link or device; pack the scan again",
        )
    if member.flag_bits & 0x1:
        raise Refused("broken_archive", f"{path}: the zip is encrypted; unpack it and give the folder")


def _file_opener(file: Path) -> Callable[[], BinaryIO]:
    return lambda: file.open("rb")


def _member_opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    return lambda: archive.open(member)  # type: ignore[return-value]
