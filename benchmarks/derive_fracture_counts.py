"""Derive workflow_scripts/vertegrade/fractures/verse19.csv from the original Genant grades of VerSe'19.

Run: python benchmarks/derive_fracture_counts.py ryai190138_appendixe1.xlsx > .../verse19.csv

The sheet is appendix E1 of Löffler et al., Radiol Artif Intell 2020, 2(4):e190138 (CC BY 4.0). Only counts leave this
script: how many vertebrae of each level have which grade and shape, over all series. Vertebrae with foreign material
have no grade and do not count.
"""

import sys

from vertegrade.cohort.verse19 import read_verse19
from vertegrade.tables import SHAPES


def main(sheet: str) -> None:
    """Print the table."""
    labels = read_verse19(sheet).table
    labels = labels[labels["usable"]]
    print("# Derived by benchmarks/derive_fracture_counts.py from appendix E1 of Loeffler et al. 2020 (Radiol Artif")
    print("# Intell 2:e190138, CC BY 4.0): vertebrae of VerSe'19 by level, and by shape and Genant grade.")
    kinds = [(shape, grade) for grade in (1, 2, 3) for shape in SHAPES]
    print(",".join(["label", "intact", *(f"{shape}_{grade}" for shape, grade in kinds)]))
    for label, rows in labels.groupby("vertebra"):
        intact = (rows["genant_grade"] == 0).sum()
        counts = [((rows["shape"] == shape) & (rows["genant_grade"] == grade)).sum() for shape, grade in kinds]
        if intact + sum(counts) != len(rows):
            raise ValueError(f"{sheet}: a fracture of label {label} has no shape; correct the sheet")
        print(",".join(str(int(number)) for number in [label, intact, *counts]))


if __name__ == "__main__":
    main(sys.argv[1])
