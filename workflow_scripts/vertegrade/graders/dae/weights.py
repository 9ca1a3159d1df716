"""Trained weights on disk: safetensors whose metadata says how to build the networks and how they were made."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from vertegrade.files import sha256_of
from vertegrade.graders.dae.diffusion import Diffusion
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.model_files import DAE_FORMAT
from vertegrade.settings.dae import DaeModelSettings
from vertegrade.weights import WeightsError, read_weights, write_weights


@dataclass(frozen=True)
class Dae:
    """A trained diffusion autoencoder, in evaluation mode on its device.

    crop_shape: (S, H, W) of the crops that it takes. sha256: of the weights file; it is in the latents.
    facts: what the training wrote about itself (data hash, seed, crop geometry, ...).
    """

    network: DaeNetwork
    diffusion: Diffusion
    settings: DaeModelSettings
    crop_shape: tuple[int, int, int]
    sha256: str
    facts: dict[str, str]
    device: torch.device


def save_dae(
    path: Path, network: DaeNetwork, settings: DaeModelSettings, crop_shape: tuple[int, ...], facts: dict[str, str]
) -> None:
    """Write weights and metadata; the file needs no other one."""
    metadata = {"format": DAE_FORMAT, "model": settings.model_dump_json(), "crop_shape": json.dumps(crop_shape)}
    write_weights(path, network, metadata | {"facts": facts})


def load_dae(path: str | Path, device: str = "cpu") -> Dae:
    """Read weights written by `save_dae`; WeightsError where the file is damaged, foreign or of another format."""
    tensors, metadata = read_weights(path, "DAE")
    if metadata.get("format") != DAE_FORMAT:
        found = metadata.get("format")
        raise WeightsError(f"{path}: not weights of this DAE (format {found!r}, needed {DAE_FORMAT!r})")
    settings = DaeModelSettings.model_validate_json(metadata["model"])
    slices, height, width = json.loads(metadata["crop_shape"])
    network = DaeNetwork(settings, height)
    network.load_state_dict(tensors)
    network.eval().requires_grad_(False).to(device)
    return Dae(
        network, Diffusion(settings), settings, (slices, height, width), sha256_of(path), metadata["facts"],
        torch.device(device),
    )  # fmt: skip
