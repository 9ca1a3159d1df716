"""VerSe's vertebra labels: 1-7 C1-C7, 8-19 T1-T12, 20-25 L1-L6, 28 T13.

Models of `keypoints` are valid for one version of this file (graders/keypoints/definition.py). What people read is in
level_texts.py.
"""

NAMES: dict[int, str] = (
    {i: f"C{i}" for i in range(1, 8)}
    | {i + 7: f"T{i}" for i in range(1, 13)}
    | {i + 19: f"L{i}" for i in range(1, 7)}
    | {28: "T13"}
)
LABEL_OF: dict[str, int] = {name: label for label, name in NAMES.items()}

SACRUM = 26  # VerSe's label of S1, which is found and drawn but never graded


def craniocaudal_rank(label: int) -> float:
    """Position of a label from head to feet; T13 (28) lies between T12 (19) and L1 (20)."""
    return 19.5 if label == LABEL_OF["T13"] else float(label)
