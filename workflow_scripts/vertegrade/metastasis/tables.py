"""Tables of bone quality: their columns, types and units, checked when written and when read (`vertegrade.tables`).

They have no Genant grade, and no table of the graders has a row of theirs.
"""

import pandera.pandas as pa

from vertegrade.columns import IDENTIFIER
from vertegrade.levels import NAMES
from vertegrade.metastasis.classes import CLASSES, INVOLVED, NETWORKS, PHANTOM_LESIONS, SPINE_METS
from vertegrade.tables import KEY, SPLITS


def _text(*values: str) -> pa.Column:
    return pa.Column(str, pa.Check.isin(values) if values else None)


def _identifier() -> pa.Column:
    return pa.Column(str, pa.Check.str_matches(IDENTIFIER))


def _answer(most: int = 1) -> pa.Column:
    return pa.Column(int, pa.Check.in_range(-1, most))


def _amount() -> pa.Column:
    return pa.Column(float, pa.Check.ge(0))


def _probability() -> pa.Column:
    return pa.Column(float, pa.Check.in_range(0, 1), nullable=True)


def _schema(columns: dict[str, pa.Column], unique: list[str]) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, strict=True, coerce=True, ordered=True, unique=unique)


_VERTEBRA = {"patient_id": _identifier(), "scan_id": _identifier(), "vertebra": pa.Column(int, pa.Check.isin(NAMES))}
_ANSWERS = {"blastic": _answer(), "lytic": _answer(), "posterolateral": _answer(2)}
_SLICE = {"slice": pa.Column(int, pa.Check.ge(0))}
_STATE = {"usable": pa.Column(bool), "reason": _text()}

# One row per vertebra of a phantom: what was drawn into it, counted in the voxels of the drawing.
LESION_TRUTH = _schema(
    _VERTEBRA
    | {"lesions": pa.Column(int, pa.Check.ge(0)), "places": _text()}
    | {f"{name}_mm3": _amount() for name in ("lytic", "blastic", "left", "right", "bone")}
    | {"cortex_mm2": _amount(), "complete": pa.Column(bool)},
    KEY,
)

# One row per vertebra: its class, in the order of the shard's packed slices. Answers are -1 where unknown.
BONE_LABELS = _schema(
    _VERTEBRA
    | {"row": pa.Column(int, pa.Check.ge(0)), "split": _text(*SPLITS), "bone_class": _text("", *CLASSES)}
    | _ANSWERS
    | {"source": _text(PHANTOM_LESIONS, SPINE_METS), **_STATE},
    KEY,
)

# One row per slice of a vertebra. A slice of an ill vertebra need not show a lesion: unless it is known, it is -1.
BONE_SLICES = _schema(_VERTEBRA | _SLICE | {"z_mm": pa.Column(float)} | _ANSWERS, [*KEY, "slice"])

_PREDICTED = (
    {"network": _text(*NETWORKS), "split": _text(*SPLITS), "p_blastic": _probability(), "p_lytic": _probability()}
    | {f"p_{name}": _probability() for name in ("class_normal", "class_blastic", "class_mixed", "class_lytic")}
    | {"bone_class": _text(*CLASSES)}
    | {f"p_{name.replace(' ', '_')}": _probability() for name in INVOLVED}
)
# One row per vertebra and network. p_blastic and p_lytic are the answers of the two tasks, p_class_* what is made of
# them. The baseline has only the latter: its answers are sums of them, and it says nothing of posterolateral parts.
BONE_PREDICTIONS = _schema(_VERTEBRA | _PREDICTED, KEY)
BONE_SLICE_PREDICTIONS = _schema(_VERTEBRA | _SLICE | _PREDICTED, [*KEY, "slice"])
