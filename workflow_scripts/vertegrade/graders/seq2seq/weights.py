"""Trained sequence models on disk: one safetensors of all networks, whose metadata say what they take."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn

from vertegrade.files import sha256_of
from vertegrade.graders.seq2seq.network import SpineNetwork, rebuild
from vertegrade.settings.seq2seq import Seq2seqSettings, StraightSpineSettings
from vertegrade.weights import WeightsError, read_weights, write_weights

FORMAT = "vertegrade-seq2seq-3"


@dataclass(frozen=True)
class Trained:
    """Trained networks by name, in evaluation mode. sha256: of their file; it is in the scores.

    in_a_row: patches of a scan that a step of their training saw at most, one after the other.
    geometry: what the straight spines that they learned from were made with, as JSON.
    """

    networks: dict[str, SpineNetwork]
    windows: list[list[float]]
    in_a_row: int
    spine: StraightSpineSettings
    geometry: str
    sha256: str
    facts: dict[str, str]


def geometry_text(settings: dict[str, object], canal_sha256: str) -> str:
    """What straight spines are made with, as one text. settings: `seq2seq.spine`; canal_sha256: of its finder."""
    return json.dumps({**settings, "canal_sha256": canal_sha256}, sort_keys=True)


def save_networks(
    path: Path,
    networks: nn.ModuleDict,
    settings: Seq2seqSettings,
    geometry: str,
    facts: dict[str, str],
) -> None:
    """Write weights and metadata; the file needs no other one."""
    metadata = {
        "format": FORMAT,
        "model": settings.model.model_dump_json(),
        "spine": settings.spine.model_dump_json(),
        "in_a_row": str(settings.train.patches),
    }
    write_weights(path, networks, metadata | {"geometry": geometry, "facts": facts})


def load_networks(path: str | Path, device: str) -> Trained:
    """Read weights of `save_networks`; WeightsError where the file is damaged, of another method or version."""
    tensors, metadata = read_weights(path, "seq2seq")
    if metadata.get("format") != FORMAT:
        found = metadata.get("format")
        raise WeightsError(f"{path}: not weights of seq2seq (format {found!r}, needed {FORMAT!r})")
    model = json.loads(metadata["model"])
    networks = rebuild(model)
    networks.load_state_dict(tensors)
    networks.eval().requires_grad_(False).to(device)
    spine = StraightSpineSettings.model_validate_json(metadata["spine"])
    return Trained(
        {name: cast(SpineNetwork, network) for name, network in networks.items()},
        model["windows_hu"],
        int(metadata["in_a_row"]),
        spine,
        metadata["geometry"],
        sha256_of(path),
        metadata["facts"],
    )
