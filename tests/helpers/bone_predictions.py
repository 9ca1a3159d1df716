"""Tables of bone quality for tests of figures and pages, with answers that are made up."""

import numpy as np
import pandas as pd

from helpers.bone_vertebrae import vertebrae
from vertegrade.metastasis.classes import ANSWERS, CLASSES, INVOLVED, MULTITASK, NETWORKS
from vertegrade.metastasis.network.vertebrae import Vertebrae
from vertegrade.metastasis.tables import BONE_LABELS, BONE_PREDICTIONS, BONE_SLICE_PREDICTIONS, BONE_SLICES
from vertegrade.tables import KEY, check_table

Tables = dict[str, pd.DataFrame]


def labels_of(data: Vertebrae) -> pd.DataFrame:
    return check_table(data.labels[list(BONE_LABELS.columns)], BONE_LABELS, "labels")


def known_of(data: Vertebrae) -> pd.DataFrame:
    keys = data.labels[["patient_id", *KEY]]
    table = keys.loc[keys.index.repeat(3)].reset_index(drop=True)
    answers = data.slice_answers.reshape(-1, 2)
    table = table.assign(slice=np.tile(range(3), len(keys)), z_mm=0.0, blastic=answers[:, 0], lytic=answers[:, 1])
    return check_table(table.assign(posterolateral=data.slice_sides.ravel()), BONE_SLICES, "slices")


def answers(keys: pd.DataFrame, said: list[str], network: str, p: float = 0.7) -> pd.DataFrame:
    """Predictions that give the probability p to the classes `said`."""
    table = keys.assign(network=network)
    for name in CLASSES:
        table[f"p_class_{name}"] = np.where(np.array(said) == name, p, (1 - p) / 3)
    for number, name in enumerate(("blastic", "lytic")):
        table[f"p_{name}"] = [float(ANSWERS[each][number]) for each in said]
    for number, name in enumerate(INVOLVED):
        of_two = network == MULTITASK
        table[f"p_{name.replace(' ', '_')}"] = (0.8, 0.1, 0.1)[number] if of_two else np.nan
    return table.assign(bone_class=said)


def all_tables(patients: int = 40) -> tuple[Vertebrae, pd.DataFrame, pd.DataFrame, Tables, Tables]:
    """Vertebrae, labels, known slices, predictions of both networks: one is always right, one says lytic for mixed."""
    data = vertebrae(patients)
    labels, known = labels_of(data), known_of(data)
    keys = labels[["patient_id", *KEY, "split"]]
    true = labels["bone_class"].tolist()
    said = {MULTITASK: true, "densenet121": ["lytic" if name == "mixed" else name for name in true]}
    whole = {name: answers(keys, said[name], name)[list(BONE_PREDICTIONS.columns)] for name in NETWORKS}
    of_slices = known[["patient_id", *KEY, "slice"]].merge(keys[[*KEY, "split"]], on=KEY)
    seen = [CLASSES[0]] * len(of_slices)
    slices = {name: answers(of_slices, seen, name)[list(BONE_SLICE_PREDICTIONS.columns)] for name in NETWORKS}
    return data, labels, known, whole, slices
