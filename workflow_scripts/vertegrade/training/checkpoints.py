"""Checkpoints of a training that survive a kill at any moment: safetensors, hashed, the last two kept.

`step-00001234.safetensors` holds all tensors and, as metadata, plain facts; `.sha256` beside it is written last.
A checkpoint without a matching hash does not count. Snakemake knows nothing of them, so the folder that they lie in is
named by all that makes the training what it is: `States`.
"""

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from pydantic import BaseModel
from torch import Tensor

from vertegrade.files import new_file, sha256_of, write_text

log = logging.getLogger(__name__)
KEPT = 2


class InUseError(RuntimeError):
    """Another process works on a state."""


class States(BaseModel):
    """Where the trainings of a rule keep their states, and by what code and packages they are made.

    folder: of all states. code: as in the params of the job. packages: those that compute here (`packages_of`), which
    may be others than the params', as Snakemake need not run in the environment of its jobs.
    """

    folder: Path
    code: str
    packages: dict[str, str]

    def of(self, *, settings: Any, seed: int, device: str, inputs: Any) -> Path:
        """Folder of the state of one training: only one of the same code, packages and arguments goes on from it.

        settings, inputs: JSON; hashes of what the inputs hold, not their names.
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
        """Remove all other states, once the training in `folder` has come to its end; not one that is worked on."""
        for other in self._others(folder):
            with suppress(InUseError), locked(other):
                shutil.rmtree(other, ignore_errors=True)
                log.info("%s, a state of another training, is removed", other)

    def _others(self, folder: Path) -> list[Path]:
        return sorted(path for path in self.folder.glob("*") if path.is_dir() and path.name != folder.name)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a state folder alone: a second training on it (a job requeued twice) stops with InUseError.

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


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, float]) -> None:
    """Write the checkpoint of a step (its tensors on the CPU) and remove all but the last two."""
    path = folder / f"step-{step:08d}.safetensors"
    with new_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, {"facts": json.dumps(facts)})
    write_text(_hash_path(path), sha256_of(path))
    for old in _checkpoints(folder)[KEPT:]:
        _hash_path(old).unlink(missing_ok=True)
        old.unlink()


def load_checkpoint(folder: Path) -> tuple[int, dict[str, Tensor], dict[str, float]] | None:
    """Step, tensors and facts of the newest whole checkpoint, or None where there is none."""
    for path in _checkpoints(folder):
        if _is_whole(path):
            with safetensors.safe_open(path, "pt") as handle:
                facts = json.loads(handle.metadata()["facts"])
            return int(path.stem.split("-")[1]), safetensors.torch.load_file(path), facts
        log.warning("%s is damaged (its hash does not match); using the one before it", path)
        _hash_path(path).unlink(missing_ok=True)
        path.unlink()
    return None


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints, so that a training starts from nothing."""
    for path in _checkpoints(folder):
        _hash_path(path).unlink(missing_ok=True)
        path.unlink()


def _checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, newest first."""
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def _hash_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _is_whole(path: Path) -> bool:
    return _hash_path(path).is_file() and _hash_path(path).read_text(encoding="utf-8") == sha256_of(path)
