"""Trained weights of the localizer's networks: safetensors whose metadata say which network and how it came about."""

import json
from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from vertegrade.files import new_file


class WeightsError(ValueError):
    """A weights file that cannot be used; the message says why and what to do."""


def save_weights(path: Path, network: nn.Module, kind: str, facts: dict[str, str]) -> None:
    """Write the network's tensors, the same bytes for the same input.

    kind: name and version of the architecture. facts: how the weights came about (steps, seed, metrics, command).
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with new_file(path) as temporary:
        # safetensors writes metadata in random order; one key keeps the bytes the same.
        metadata = json.dumps({"kind": kind, "facts": facts}, sort_keys=True)
        safetensors.torch.save_file(tensors, temporary, {"vertegrade": metadata})


def load_weights(path: str | Path, network: nn.Module, kind: str) -> dict[str, str]:
    """Fill the network from a file of `save_weights` and return its facts; the network is set to evaluation mode.

    WeightsError: damaged, another kind of network, or tensors that do not fit.
    """
    try:
        with safetensors.safe_open(path, "pt") as handle:
            metadata = json.loads((handle.metadata() or {}).get("vertegrade", "{}"))
        tensors = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}); train the network again") from error
    if metadata.get("kind") != kind:
        raise WeightsError(f"{path}: weights of {metadata.get('kind')!r}, needed {kind!r}; train the network again")
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path}: tensors do not fit the network ({error}); train the network again") from error
    network.eval().requires_grad_(False)
    return dict(metadata["facts"])
