"""Trained weights on disk: safetensors with one JSON of metadata, the same bytes for the same input."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from vertegrade.files import new_file

if TYPE_CHECKING:  # torch takes seconds to import; readers of plain arrays need not wait
    from torch import Tensor, nn


class WeightsError(ValueError):
    """A weights file that cannot be used; the message says why and what to do."""


def write_weights(path: Path, network: "nn.Module", metadata: dict[str, Any]) -> None:
    """Write the network's tensors and plain metadata."""
    import safetensors.torch

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with new_file(path) as temporary:
        # safetensors writes metadata in random order; one key keeps the bytes the same.
        safetensors.torch.save_file(tensors, temporary, {"vertegrade": json.dumps(metadata, sort_keys=True)})


def read_weights(path: str | Path, name: str) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Tensors and metadata of `write_weights`; metadata are empty where another program wrote the file.

    name: what the weights are of, for people. WeightsError: missing or damaged.
    """
    import torch

    arrays, metadata = read_arrays(path, name)
    return {key: torch.from_numpy(array) for key, array in arrays.items()}, metadata


def read_arrays(path: str | Path, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """As `read_weights`, the tensors as numpy arrays."""
    try:
        with safetensors.safe_open(path, "np") as handle:
            metadata = json.loads((handle.metadata() or {}).get("vertegrade", "{}"))
        return safetensors.numpy.load_file(path), metadata
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}); train the {name} again") from error
