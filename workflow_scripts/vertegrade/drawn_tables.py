"""Tables of what is drawn and not seen: virtual fractures, collapsed crops, pictures at other grades, maps.

As those of tables.py, which reads and writes them: columns, types and units, checked when written and when read.
"""

import pandera.pandas as pa

from vertegrade.columns import EVALUABLE, IDENTIFIER, VERTEBRA, contract, number, text, whole
from vertegrade.tables import CENTRE_COLUMNS, GRADES, HEIGHTS, KEY, POINT_COLUMNS, SHAPES

# One row per vertebra of a scan with virtual fractures: what was done to it. kind: `fracture` (collapsed), `sham`
# (moved and stirred without loss) or `untouched`. intact: measured without a fracture before anything was done. Loss,
# grade and heights (mm, along the body's own axis) are relative to the vertebra as the patient has it.
VIRTUAL_KINDS = ["fracture", "sham", "untouched"]
VIRTUAL_TRUTH = contract(
    VERTEBRA
    | {"source_scan_id": text(IDENTIFIER), "kind": pa.Column(str, pa.Check.isin(VIRTUAL_KINDS))}
    | {"intact": pa.Column(bool), "genant_grade": whole(GRADES), "shape": text(), "height_loss": number(0, 1)}
    | {f"height_{column}_mm": number(0) for column in HEIGHTS}
    | {f"healthy_height_{column}_mm": number(0) for column in HEIGHTS}
    | {name: number() for name in CENTRE_COLUMNS}
    | {name: number() for name in POINT_COLUMNS},
    KEY,
)

# One row per method and vertebra of the challenge: what is true of it, and what was found and graded. kind `source`: it
# stands in the patient's own scan, of whose heights nothing is known but what was measured. found: the level that it
# was found by, -1 where it was not. threshold: severity beyond which it counts as noticed at 95 % specificity, chosen
# on other patients; NaN where these are too few.
SOURCE = "source"
VIRTUAL_CASES = contract(
    VERTEBRA
    | {
        "source_scan_id": text(IDENTIFIER),
        "kind": pa.Column(str, pa.Check.isin([*VIRTUAL_KINDS, SOURCE])),
        "genant_grade": whole(GRADES),
        "shape": text(),
        "height_loss": number(0, 1),
        "region": text(),
        "scanner": text(),
        "found": whole(),
    }
    | {f"{of}_{column}_mm": number(0, nullable=True) for of in ("height", "measured") for column in HEIGHTS}
    | {"method": text(r"^[a-z0-9_]+$"), "severity": number(0, 3, nullable=True), "grade": whole([-1, *GRADES])}
    | {f"severity_{end}": number(0, 3, nullable=True) for end in ("low", "high")}
    | {**EVALUABLE, "novelty": number(nullable=True), "unlike_training": pa.Column(bool)}
    | {"noticed": pa.Column(bool), "threshold": number(nullable=True)},
    ["method", *KEY],
)

# One row per crop of a training vertebra, as it is (shape "") or collapsed in place; crop: its place in the packed
# array. loss: fraction of its own height that each column lost.
LOSSES = [f"loss_{column}" for column in HEIGHTS]
COLLAPSED_CROPS = contract(
    VERTEBRA | {"crop": whole(), "shape": text()} | {name: number(None, 1) for name in LOSSES},
    [*KEY, "shape"],
)

# One row per synthetic picture of a vertebra at another grade. row, picture: its place in images.npy, whose first two
# pictures of a row are the crop and its reconstruction. Losses are fractions of the heights that an intact vertebra
# would have, measured on the picture; height_loss is the largest. outside_to_inside: mean change beyond the body over
# that within it. reached: the height loss is within 8 points of the middle of the grade. counted: of the test vertebrae
# that all figures are of; these rows come first. The others are suspicious vertebrae, for the pages of their patients.
COUNTERFACTUALS = contract(
    VERTEBRA
    | {"row": whole(), "picture": whole(), "counted": pa.Column(bool)}
    | {"shape": text(), "wanted_grade": whole(GRADES)}
    | {f"wanted_{name}": number(None, 1) for name in LOSSES}
    | {name: number(None, 1) for name in [*LOSSES, "height_loss"]}
    | {"wanted_severity": number(0, 3), "severity": number(0, 3)}
    | {name: number(0) for name in ("outside_to_inside", "outside_share", "reconstruction_error_hu", "return_error_hu")}
    | {"nearest_training": number(0, 1, nullable=True), "returns": pa.Column(bool), "reached": pa.Column(bool)},
    ["row", "picture"],
)

# Parts of a crop; where two overlap, the last one counts. `lost`: where an intact body would be and this one is not.
AREAS = ("elsewhere", "discs", "lost", "neighbours", "body", "endplates")
LOOKS = ["gradient", "occlusion", "pca"]
# One row per test vertebra and map of where its severity comes from. score: grades above the average intact vertebra.
# By area: its share of the crop, share of the map's absolute values, and the sum of its pixels (NaN: these overlap).
LOOKS_AT = contract(
    VERTEBRA
    | {"row": whole(), "map": pa.Column(str, pa.Check.isin(LOOKS))}
    | {"grade": whole(GRADES), "severity": number(0, 3), "score": number()}
    | {f"{of}_{name}": number(0, 1) for of in ("area", "share") for name in AREAS}
    | {f"grades_{name}": number(nullable=True) for name in AREAS}
    | {"agreement": number(-1, 1, nullable=True)},
    ["row", "map"],
)

# What one grade of severity changes in a height, as a fraction of the expected one; NaN where there are too few.
GRADE_HEIGHTS = contract(
    {"source": text("^(pictures|crops)$"), "part": text(), "shape": pa.Column(str, pa.Check.isin(SHAPES))}
    | {"step": text(r"^[0-3]-[0-3]$"), "column": pa.Column(str, pa.Check.isin(HEIGHTS))}
    | {name: number(nullable=True) for name in ("change", "low", "high")}
    | {"vertebrae": whole(), "patients": whole()},
    ["source", "part", "shape", "step", "column"],
)
