"""Weights of the localizer's networks, whose metadata say which network they are of and how they were made."""

from pathlib import Path

from torch import nn

from vertegrade.weights import WeightsError, read_weights, write_weights


def save_weights(path: Path, network: nn.Module, kind: str, facts: dict[str, str]) -> None:
    """Write a network. kind: name and version of the architecture. facts: steps, seed, metrics, command, ..."""
    write_weights(path, network, {"kind": kind, "facts": facts})


def load_weights(path: str | Path, network: nn.Module, kind: str) -> dict[str, str]:
    """Fill the network from a file of `save_weights` and return its facts; the network is set to evaluation mode.

    WeightsError: damaged, another kind of network, or tensors that do not fit.
    """
    tensors, metadata = read_weights(path, "network")
    if metadata.get("kind") != kind:
        raise WeightsError(f"{path}: weights of {metadata.get('kind')!r}, needed {kind!r}; train the network again")
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path}: tensors do not fit the network ({error}); train the network again") from error
    network.eval().requires_grad_(False)
    return dict(metadata["facts"])
