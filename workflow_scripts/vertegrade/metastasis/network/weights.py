"""Trained weights on disk: safetensors whose metadata says how to build the network and how it was made."""

from pathlib import Path

from vertegrade.metastasis.network.model import BoneNetwork, NetworkShape
from vertegrade.weights import WeightsError, read_weights, write_weights

FORMAT = "vertegrade bone quality 2"


def save_network(path: Path, network: BoneNetwork, facts: dict[str, str]) -> None:
    """Write weights and metadata; the file needs no other one."""
    write_weights(path, network, {"format": FORMAT, "shape": network.shape.model_dump_json(), "facts": facts})


def load_network(path: str | Path, device: str = "cpu") -> BoneNetwork:
    """Read what `save_network` wrote; WeightsError where the file is damaged, foreign or of another format."""
    tensors, metadata = read_weights(path, "network of bone quality")
    if metadata.get("format") != FORMAT:
        found = metadata.get("format")
        raise WeightsError(f"{path}: not weights of bone quality (format {found!r}, needed {FORMAT!r})")
    network = BoneNetwork(NetworkShape.model_validate_json(metadata["shape"]))
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False).to(device)
