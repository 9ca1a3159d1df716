"""Folders in which trainings keep their state, each named by all that makes its training what it is."""

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

log = logging.getLogger(__name__)


class InUseError(RuntimeError):
    """Another process works on a state."""


class States(BaseModel):
    """Where the trainings of a rule keep their states, and the code and packages that make them.

    folder: of all states. code: as in the params of the job. packages: those that compute here (`packages_of`), which
    may be others than the params', as Snakemake need not run in the environment of its jobs.
    """

    folder: Path
    code: str
    packages: dict[str, str]

    def of(self, *, settings: Any, seed: int, device: str, inputs: Any) -> Path:
        """Folder of the state of one training: only one of the same code, packages and arguments continues from it.

        settings, inputs: JSON; hashes of the inputs' content, not their names.
        """
        training = {"settings": settings, "seed": seed, "device": device, "inputs": inputs}
        key = {"code": self.code, "packages": self.packages} | training
        folder = self.folder / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        others = self._others(folder)
        if others and not folder.is_dir():
            log.info(
                "starting from nothing: the state in %s is of other code, packages, settings, seed or inputs (%s)",
                self.folder, ", ".join(other.name for other in others),
            )  # fmt: skip
        return folder

    def keep_only(self, folder: Path) -> None:
        """Remove all other states, once the training in `folder` has ended; not one that is in use."""
        for other in self._others(folder):
            with suppress(InUseError), locked(other):
                shutil.rmtree(other, ignore_errors=True)
                log.info("%s, a state of another training, is removed", other)

    def _others(self, folder: Path) -> list[Path]:
        return sorted(path for path in self.folder.glob("*") if path.is_dir() and path.name != folder.name)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a state folder: a second training on it (a job requeued twice) stops with InUseError.

    The lock ends with the process, however it ends. Half-written files of a killed process are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUseError(f"{folder}: another process trains here; wait for it or stop it") from error
        for leftover in folder.glob(".tmp-*"):
            leftover.unlink()
        yield
