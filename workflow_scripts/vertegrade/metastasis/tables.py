"""Tables of bone quality: their columns, types and units, checked when written and when read (`vertegrade.tables`).

They have no Genant grade, and no table of the graders has a row of theirs.
"""

import pandera.pandas as pa

from vertegrade.columns import VERTEBRA, contract, number, text, whole
from vertegrade.metastasis.classes import CLASSES, INVOLVED, NETWORKS, PHANTOM_LESIONS, SPINE_METS
from vertegrade.tables import KEY, SPLITS


def _one_of(*values: str) -> pa.Column:
    return pa.Column(str, pa.Check.isin(values))


def _count() -> pa.Column:
    return pa.Column(int, pa.Check.ge(0))


def _probability() -> pa.Column:
    return number(0, 1, nullable=True)


_ANSWERS = {"blastic": whole([-1, 0, 1]), "lytic": whole([-1, 0, 1]), "posterolateral": whole([-1, 0, 1, 2])}
_SLICE = {"slice": _count()}
_STATE = {"usable": pa.Column(bool), "reason": text()}

# One row per vertebra of a phantom: what was drawn into it, counted in the voxels of the drawing.
LESION_TRUTH = contract(
    VERTEBRA
    | {"lesions": _count(), "places": text()}
    | {f"{name}_mm3": number(0) for name in ("lytic", "blastic", "left", "right", "bone")}
    | {"cortex_mm2": number(0), "complete": pa.Column(bool)},
    KEY,
)

# One row per vertebra: its class, in the order of the shard's packed slices. Answers are -1 where unknown.
BONE_LABELS = contract(
    VERTEBRA
    | {"row": _count(), "split": _one_of(*SPLITS), "bone_class": _one_of("", *CLASSES)}
    | _ANSWERS
    | {"source": _one_of(PHANTOM_LESIONS, SPINE_METS), **_STATE},
    KEY,
)

# One row per slice of a vertebra. A slice of an ill vertebra need not show a lesion: unless it is known, it is -1.
BONE_SLICES = contract(VERTEBRA | _SLICE | {"z_mm": number()} | _ANSWERS, [*KEY, "slice"])

_PREDICTED = (
    {"network": _one_of(*NETWORKS), "split": _one_of(*SPLITS), "p_blastic": _probability(), "p_lytic": _probability()}
    | {f"p_{name}": _probability() for name in ("class_normal", "class_blastic", "class_mixed", "class_lytic")}
    | {"bone_class": _one_of(*CLASSES)}
    | {f"p_{name.replace(' ', '_')}": _probability() for name in INVOLVED}
)
# One row per vertebra and network. p_blastic and p_lytic are the answers of the two tasks, p_class_* what is made of
# them. The baseline has only the latter: its answers are sums of them, and it says nothing of posterolateral parts.
BONE_PREDICTIONS = contract(VERTEBRA | _PREDICTED, KEY)
BONE_SLICE_PREDICTIONS = contract(VERTEBRA | _SLICE | _PREDICTED, [*KEY, "slice"])
