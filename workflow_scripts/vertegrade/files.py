"""Files that appear whole or not at all: written under a temporary name in the same folder, fsynced, renamed."""

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini"}  # of Windows; macOS's names (.DS_Store, ._x) begin with a dot


@contextmanager
def new_file(path: str | Path, private: bool = False) -> Iterator[Path]:
    """A temporary file (same folder, same suffixes) that becomes `path` when the block ends without an error.

    The umask says who may read it, whatever wrote it (safetensors makes files for their owner alone). private: only its
    owner may read it, from the first byte on.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        temporary.touch(0o600 if private else 0o666)
        mode = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        if stat.S_IMODE(temporary.stat().st_mode) != mode:
            temporary.chmod(mode)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder that becomes `path`, replacing it, when the block ends without an error."""
    path = Path(path)
    temporary = _temporary(path)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """A free name in the folder of `path`; what a killed process left there for the same path is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for entry in os.scandir(path.parent):
        if re.fullmatch(rf"\.tmp-\d+-{re.escape(path.name)}", entry.name):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink(missing_ok=True)
    return path.with_name(f".tmp-{os.getpid()}-{path.name}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: str | Path, value: Any, sort_keys: bool = True) -> None:
    """Write JSON; NaN is refused, so that every reader can parse it. sort_keys: False where their order counts."""
    text = json.dumps(value, indent=2, sort_keys=sort_keys, allow_nan=False, ensure_ascii=False) + "\n"
    write_text(path, text)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read JSON."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def is_litter(name: str) -> bool:
    """Whether a file is a file manager's, Snakemake's or half-written, and so not part of its folder's content."""
    return name.startswith(".") or name.lower() in LITTER


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder's files and their names in sorted order, without litter."""
    path = Path(path)
    if path.is_file():
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and not is_litter(p.name)):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()


def file_hashes(paths: Iterable[str | Path]) -> dict[str, str]:
    """SHA-256 by path, sorted, of files and of every file in folders but litter; what is not there is left out."""
    files = {file for path in paths for file in _files_of(Path(path))}
    return {str(file): sha256_of(file) for file in sorted(files)}


def _files_of(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file() and not is_litter(file.name))
    elif path.is_file():
        yield path
