"""Trained classifiers on disk: safetensors whose metadata say how to build the network and what it takes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vertegrade.files import sha256_of
from vertegrade.graders.classifiers.networks import Classifier
from vertegrade.settings.base import Section
from vertegrade.weights import WeightsError, read_weights, write_weights


@dataclass(frozen=True)
class Sees:
    """What a network takes of an image. shape: of the image, without the batch. geometry: its millimetres, as JSON."""

    shape: tuple[int, ...]
    windows: list[list[float]]
    bodies: str
    geometry: str

    @property
    def dimensions(self) -> int:
        """2 for crops (S, H, W), 3 for patches (C, S, H, W)."""
        return len(self.shape) - 1


@dataclass(frozen=True)
class Trained:
    """A trained classifier, in evaluation mode on its device. sha256: of its file; it is in the scores."""

    network: Classifier
    sees: Sees
    sha256: str
    facts: dict[str, str]
    device: torch.device


def save_classifier(
    path: Path, method: str, network: Classifier, model: Section, sees: Sees, facts: dict[str, str]
) -> None:
    """Write weights and metadata; the file needs no other one."""
    metadata = {"format": _format(method), "model": model.model_dump_json(), "sees": vars(sees), "facts": facts}
    write_weights(path, network, metadata)


def load_classifier(
    path: str | Path, method: str, build: Callable[[dict[str, Any], Sees], Classifier], device: str
) -> Trained:
    """Read weights of `save_classifier`; WeightsError where the file is damaged, of another method or version.

    build: the network of a method, by the plain values of its model settings and what it sees.
    """
    tensors, metadata = read_weights(path, method)
    if metadata.get("format") != _format(method):
        found = metadata.get("format")
        raise WeightsError(f"{path}: not weights of {method} (format {found!r}, needed {_format(method)!r})")
    its = metadata["sees"]
    sees = Sees(tuple(its["shape"]), its["windows"], its["bodies"], its["geometry"])
    network = build(json.loads(metadata["model"]), sees)
    network.load_state_dict(tensors)
    network.eval().requires_grad_(False).to(device)
    return Trained(network, sees, sha256_of(path), metadata["facts"], torch.device(device))


def _format(method: str) -> str:
    return f"vertegrade-{method}-1"
