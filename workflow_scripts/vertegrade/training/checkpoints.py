"""Checkpoints of a training that survive a kill at any moment: safetensors, hashed, the last two kept.

`step-00001234.safetensors` contains all tensors and, as metadata, plain facts; its `.sha256` is written last.
A checkpoint without a matching hash does not count. The folder that they lie in is one of `States`.
"""

import json
import logging
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from vertegrade.files import new_file, sha256_of, write_text

log = logging.getLogger(__name__)
KEPT = 2
Parts = dict[str, dict[str, Tensor]]


def save_checkpoint(folder: Path, step: int, parts: Parts, facts: dict[str, float]) -> None:
    """Write the checkpoint of a step (the tensors of each part by name) and remove all but the last two."""
    path = folder / f"step-{step:08d}.safetensors"
    tensors = {
        f"{part}/{name}": value.cpu().contiguous() for part, values in parts.items() for name, value in values.items()
    }
    with new_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, {"facts": json.dumps(facts)})
    write_text(_hash_path(path), sha256_of(path))
    for old in _checkpoints(folder)[KEPT:]:
        _remove(old)


def load_checkpoint(folder: Path) -> tuple[int, Parts, dict[str, float]] | None:
    """Step, tensors by part and facts of the newest complete checkpoint, or None where there is none."""
    for path in _checkpoints(folder):
        if _is_whole(path):
            with safetensors.safe_open(path, "pt") as handle:
                facts = json.loads(handle.metadata()["facts"])
            parts: Parts = {}
            for key, tensor in safetensors.torch.load_file(path).items():
                part, name = key.split("/")
                parts.setdefault(part, {})[name] = tensor
            return int(path.stem.split("-")[1]), parts, facts
        log.warning("%s is damaged (its hash does not match); using the one before it", path)
        _remove(path)
    return None


def _checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, newest first."""
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def _remove(path: Path) -> None:
    _hash_path(path).unlink(missing_ok=True)
    path.unlink()


def _hash_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _is_whole(path: Path) -> bool:
    return _hash_path(path).is_file() and _hash_path(path).read_text(encoding="utf-8") == sha256_of(path)
