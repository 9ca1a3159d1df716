"""Answers of a network for vertebrae, as tables."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vertegrade.metastasis.classes import CLASSES, INVOLVED
from vertegrade.metastasis.network.model import Answers, BoneNetwork, Level, answers_of
from vertegrade.metastasis.network.vertebrae import Vertebrae, network_input
from vertegrade.metastasis.tables import BONE_PREDICTIONS, BONE_SLICE_PREDICTIONS
from vertegrade.tables import KEY

AT_ONCE = 16  # vertebrae


@torch.no_grad()
def logits_of(network: BoneNetwork, vertebrae: Vertebrae, device: str) -> Answers:
    """Logits of all vertebrae and slices, on the CPU."""
    network.eval()
    parts = []
    for places in np.array_split(np.arange(len(vertebrae)), max(1, -(-len(vertebrae) // AT_ONCE))):
        parts.append(network(network_input(vertebrae.take(places), network.shape.slices).to(device)))
    return Answers(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))


@torch.no_grad()
def predict(network: BoneNetwork, name: str, vertebrae: Vertebrae, device: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """BONE_PREDICTIONS of the vertebrae and BONE_SLICE_PREDICTIONS of their slices. name: of the network."""
    found = logits_of(network, vertebrae, device)
    network.to("cpu")
    keys = vertebrae.labels[["patient_id", *KEY, "split"]]
    whole = network.of_vertebrae(found.slices)
    of_vertebrae = _rows(network, name, keys, whole, found.sides, "vertebrae")
    count = found.slices.shape[1]
    repeated = keys.loc[keys.index.repeat(count)].reset_index(drop=True)
    repeated = repeated.assign(slice=np.tile(np.arange(count), len(keys)))
    of_slices = _rows(network, name, repeated, found.slices.flatten(0, 1), found.slice_sides.flatten(0, 1), "slices")
    return of_vertebrae[list(BONE_PREDICTIONS.columns)], of_slices[list(BONE_SLICE_PREDICTIONS.columns)]


def _rows(
    network: BoneNetwork, name: str, keys: pd.DataFrame, logits: Tensor, sides: Tensor, level: Level
) -> pd.DataFrame:
    classes = network.classes(logits, level)
    answers = logits.sigmoid() if network.shape.tasks == "two" else answers_of(classes)
    involved = sides.softmax(dim=-1) if network.shape.auxiliary else torch.full_like(sides, torch.nan)
    table = keys.assign(network=name, p_blastic=answers[:, 0].double().numpy(), p_lytic=answers[:, 1].double().numpy())
    for place, each in enumerate(CLASSES):
        table[f"p_class_{each}"] = classes[:, place].double().numpy()
    table["bone_class"] = [CLASSES[at] for at in classes.argmax(dim=-1).tolist()]
    for place, each in enumerate(INVOLVED):
        table[f"p_{each.replace(' ', '_')}"] = involved[:, place].double().numpy()
    return table
