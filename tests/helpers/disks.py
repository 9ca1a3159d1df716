"""Small disks to fill, where the test may mount."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def mount(*arguments: str) -> None:
    run = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if run.returncode != 0:
        pytest.skip(f"may not mount here: {run.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A disk of `size` bytes on top of a folder, with the folder's files on it."""
    held = folder.with_name(f"{folder.name}-held")
    folder.rename(held)
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
        try:
            shutil.copytree(held, folder, dirs_exist_ok=True)
            shutil.rmtree(held)
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        shutil.rmtree(folder)
