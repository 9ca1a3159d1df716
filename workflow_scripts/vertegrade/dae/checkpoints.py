"""Checkpoints of a training that survive a kill at any moment: safetensors, hashed, the last two kept.

`step-00001234.safetensors` holds all tensors and, as metadata, plain facts; `.sha256` beside it is written last.
A checkpoint without a matching hash does not count.
"""

import fcntl
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from vertegrade.files import new_file, sha256_of, write_text

log = logging.getLogger(__name__)
KEPT = 2


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a state folder alone: a second training on it (a job requeued twice) stops with RuntimeError.

    The lock ends with the process, however it ends. Half-written files of a killed process are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f"{folder}: another process trains here; wait for it or stop it") from error
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


def _checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, newest first."""
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def _hash_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _is_whole(path: Path) -> bool:
    return _hash_path(path).is_file() and _hash_path(path).read_text(encoding="utf-8") == sha256_of(path)
