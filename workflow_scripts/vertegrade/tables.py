"""Every table that crosses a stage: its columns, types and units, checked when written and when read.

Positions are RAS millimetres of the patient (NIfTI's world), vertebrae are VerSe labels, HU are int16.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from vertegrade.files import new_file

IDENTIFIER = r"^[A-Za-z0-9-]+$"
STATES = ["done", "excluded", "failed"]
SPLITS = ["train", "validation", "test"]
HEIGHTS = ["anterior", "middle", "posterior"]
POINTS = [f"{column}_{end}" for column in HEIGHTS for end in ("superior", "inferior")]
CENTRE_COLUMNS = [f"centre_{axis}_mm" for axis in "xyz"]
POINT_COLUMNS = [f"{point}_{axis}_mm" for point in POINTS for axis in "xyz"]
POINT_SD_COLUMNS = [f"{point}_sd_mm" for point in POINTS]
GRADES = [0, 1, 2, 3]
SHAPES = ("wedge", "biconcave", "crush")  # of fractures: the column that lost most, or all
KEY = ["scan_id", "vertebra"]  # of a row per vertebra
PATIENT_KEY = ["patient_id", *KEY]
SEPARATORS = {".tsv": "\t", ".csv": ","}


def centres_of(table: pd.DataFrame) -> np.ndarray:
    """Body centres (n, 3) of landmarks or truth, RAS mm."""
    centres: np.ndarray = table[CENTRE_COLUMNS].to_numpy(np.float64)
    return centres


def points_of(table: pd.DataFrame) -> np.ndarray:
    """Six points (n, 6, 3) of landmarks or truth in the order of POINTS, RAS mm; NaN where unknown."""
    return table[POINT_COLUMNS].to_numpy(np.float64).reshape(-1, len(POINTS), 3)


def _text(pattern: str | None = None, **options: Any) -> pa.Column:
    return pa.Column(str, pa.Check.str_matches(pattern) if pattern else None, **options)


def _number(low: float | None = None, high: float | None = None, **options: Any) -> pa.Column:
    checks = [pa.Check.ge(low)] if low is not None else []
    checks += [pa.Check.le(high)] if high is not None else []
    return pa.Column(float, checks or None, **options)


def _whole(values: list[int] | None = None, **options: Any) -> pa.Column:
    return pa.Column(int, pa.Check.isin(values) if values else None, **options)


def _schema(columns: dict[str, pa.Column], unique: list[str] | None = None, strict: bool = True) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, strict=strict, coerce=True, ordered=True, unique=unique)


_SCAN = {"patient_id": _text(IDENTIFIER), "scan_id": _text(IDENTIFIER)}
_VERTEBRA = _SCAN | {"vertebra": _whole([*range(1, 26), 28])}
_STATE = {"state": pa.Column(str, pa.Check.isin(STATES)), "reason": _text(), "message": _text()}
_EVALUABLE = {"evaluable": pa.Column(bool), "reason": _text()}
# What is doubtful of a vertebra is in every table with it: the probability that its label is right (NaN: given
# with the scan), and the flags of its scan and of itself (reasons.py, vertebra_reasons.py), joined by blanks.
_LABEL_CONFIDENCE = {"label_confidence": _number(0, 1, nullable=True, required=False)}
_FLAGS = {"flags": _text(required=False)}
_DOUBT = _LABEL_CONFIDENCE | _FLAGS
_OF_PATIENT = {"patient_p_fracture": _number(0, 1, nullable=True, required=False)}

# One row per scan: what became of it at conversion. reason is "" for done scans; numbers are NaN where unknown; flags
# (reasons.py: FLAGS) are joined by blanks.
SCANS = _schema(
    _SCAN
    | _STATE
    | {
        "slices": _number(nullable=True),
        "slice_spacing_mm": _number(nullable=True),
        "slice_thickness_mm": _number(nullable=True),
        "pixel_mm": _number(nullable=True),
        "manufacturer": _text(),
        "kernel": _text(),
        "image_sha256": _text(),
        "warnings": _text(),
        "flags": _text(),
    },
    ["scan_id"],
)

# Two reasons by which later rules decide. A vertebra that is NOT_GRADED is sound and shapes the centreline; it just
# gets no crop. One with FOREIGN_MATERIAL (spine/foreign.py) is in its right place, but nothing of it is measured.
NOT_GRADED = "not_graded"
FOREIGN_MATERIAL = "foreign_material"

# One row per vertebra found in a done scan. Six points: superior and inferior end of the three heights (NaN: unknown).
# What only a detector knows may be left out: the standard deviation of each point along its column, and the label's
# confidence.
LANDMARKS = _schema(
    _VERTEBRA
    | {name: _number() for name in CENTRE_COLUMNS}
    | {name: _number(nullable=True) for name in POINT_COLUMNS}
    | {name: _number(0, nullable=True, required=False) for name in POINT_SD_COLUMNS}
    | {"confidence": _number(0, 1)}
    | _LABEL_CONFIDENCE
    | {"source": _text(), **_EVALUABLE}
    | _FLAGS,
    KEY,
)

# One row per picture of a spine from the side (report/spine_view.py): its size in pixels, their side, and the place of
# the centre of its first pixel, RAS mm (z downwards by row, y from front to back by column).
SPINES = _schema(
    _SCAN
    | {"rows": _whole(), "columns": _whole(), "pixel_mm": _number(0)}
    | {name: _number() for name in ("top_mm", "front_mm")},
    ["scan_id"],
)

# One row per crop, in the order of the packed arrays <shard>.npy (pixels) and <shard>_frames.npy (geometry).
CROPS = _schema(
    _VERTEBRA
    | {
        "crop": _whole(),
        "inside_fraction": _number(0, 1),
        "slice_thickness_mm": _number(nullable=True),
        **_EVALUABLE,
    }
    | _DOUBT,
    KEY,
)

# One row per labelled vertebra. height_loss (fraction, 0-1) is NaN unless true (phantoms). Not usable: reason says why.
LABELS = _schema(
    _VERTEBRA
    | {
        "genant_grade": _number(0, 3, nullable=True),
        "shape": _text(),
        "height_loss": _number(0, 1, nullable=True),
        "usable": pa.Column(bool),
        "reason": _text(),
    },
    KEY,
)

# One row per patient.
PATIENT_SPLITS = _schema(
    {
        "patient_id": _text(IDENTIFIER),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
        "origin": pa.Column(str, pa.Check.isin(["given", "hash"])),
    },
    ["patient_id"],
)

# One row per crop; z is a list of float32. model_sha256 names the weights that made it. z_errors may be left out: what
# one standard deviation of each independent error of the measurement changes z by, these vectors one after the other
# in one list; NaN where the errors are unknown.
LATENTS = _schema(
    _VERTEBRA
    | {
        "crop": _whole(),
        **_EVALUABLE,
        "model_sha256": _text(r"^[0-9a-f]{64}$"),
        "z": pa.Column(object),
        "z_errors": pa.Column(object, nullable=True, required=False),
    }
    | _DOUBT,
    KEY,
)

# One row per crop: what its image looks like, numbers in the order of grading/appearance.py.
APPEARANCE = _schema(_VERTEBRA | {"crop": _whole(), "x": pa.Column(object)}, KEY)

# One row per vertebra that gets a crop: heights with their standard deviations, the heights it would have if it were
# intact, and what follows by rule (spine/indices.py). Losses and indices are fractions, negative where higher than
# intact. Numbers are NaN and grade is -1 where evaluable is False; deviations are NaN where the points' are unknown.
MEASUREMENTS = _schema(
    _VERTEBRA
    | {f"height_{column}_mm": _number(0, nullable=True) for column in HEIGHTS}
    | {f"height_{column}_sd_mm": _number(0, nullable=True) for column in HEIGHTS}
    | {f"intact_height_{column}_mm": _number(0, nullable=True) for column in HEIGHTS}
    | {f"loss_{column}": _number(None, 1, nullable=True) for column in HEIGHTS}
    | {name: _number(None, 1, nullable=True) for name in ("wedge", "biconcave", "crush", "height_loss")}
    | {"height_loss_sd": _number(0, nullable=True), "shape": _text()}
    | {"severity": _number(0, 3, nullable=True), "severity_sd": _number(0, nullable=True)}
    | {"grade": _whole([-1, *GRADES]), **_EVALUABLE}
    | _DOUBT,
    KEY,
)

# One row per sound vertebra of a scan: HU of its trabecular core (NaN: hu_reason says why), heights of the disc below
# it, and how far it lies ahead of the next vertebra; NaN where that one is not there. Errors are standard deviations.
SPINE_MEASURES = _schema(
    _VERTEBRA
    | {"trabecular_hu": _number(nullable=True), "trabecular_hu_error": _number(0, nullable=True), "hu_reason": _text()}
    | {f"disc_{column}_mm": _number(nullable=True) for column in HEIGHTS}
    | {f"disc_{column}_error_mm": _number(0, nullable=True) for column in HEIGHTS}
    | {"slip_mm": _number(nullable=True), "slip_error_mm": _number(0, nullable=True)},
    KEY,
)

# One row per scan with a sound vertebra: angles of its curves, NaN where their vertebrae are not all there.
SPINE_CURVES = _schema(
    _SCAN
    | {
        f"{name}{part}_deg": _number(nullable=True)
        for name in ("kyphosis", "lordosis", "scoliosis")
        for part in ("", "_error")
    },
    ["scan_id"],
)

# One row per vertebra, whatever the method. Numbers are NaN and grade is -1 where evaluable is False; where the reason
# is UNLIKE_TRAINING the novelty stays, because it is the reason. signed_distance is the method's raw score before
# calibration (for the DAE (w.z + b)/|w|). The last two are of the patient; -1 where none of its vertebrae is graded.
UNLIKE_TRAINING = "unlike_training"
PREDICTIONS = _schema(
    _VERTEBRA
    | {
        "method": _text(r"^[a-z0-9_]+$"),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
        "signed_distance": _number(nullable=True),
        "severity": _number(0, 3, nullable=True),
        "p_fracture": _number(0, 1, nullable=True),
        **{f"p_grade_{grade}": _number(0, 1, nullable=True) for grade in GRADES},
        "grade": _whole([-1, *GRADES]),
        "severity_low": _number(0, 3, nullable=True),
        "severity_high": _number(0, 3, nullable=True),
        "novelty": _number(0, 1, nullable=True),
        **_EVALUABLE,
    }
    | _DOUBT
    | _OF_PATIENT
    | {"patient_fractured": _whole([-1, 0, 1], required=False)},
    KEY,
)

# One row per vertebra with the grades of all methods, for people: CSV. Cells of what is unknown are empty. Columns are
# of the main method, `method`; grade_NAME and severity_NAME of each other one come last.
GRADE_TABLE = _schema(
    {"research_use_only": _text(), **_SCAN, "level": _text(), "vertebra": _whole([*range(1, 26), 28])}
    | {"method": _text(), "grade": pa.Column("Int64", pa.Check.isin(GRADES), nullable=True)}
    | {name: _number(0, 3, nullable=True) for name in ("severity", "severity_low", "severity_high")}
    | {name: _number(0, 1, nullable=True) for name in ("p_fracture", "novelty", "label_confidence")}
    | {**_EVALUABLE, "flags": _text()}
    | {"patient_p_fracture": _number(0, 1, nullable=True)}
    | {"patient_fractured": pa.Column("Int64", pa.Check.isin([0, 1]), nullable=True)},
    KEY,
    strict=False,
)

# One row per vertebra that was found, for people: CSV. Cells of what is unknown are empty. Grade and severity are of
# the main method, `method`; heights are measured, and unlike the rest they stay where a grade is withheld.
VERTEBRA_TABLE = _schema(
    {"research_use_only": _text(), **_SCAN, "level": _text(), "vertebra": _whole([*range(1, 26), 28])}
    | {"method": _text(), "grade": pa.Column("Int64", pa.Check.isin(GRADES), nullable=True)}
    | {name: _number(0, 3, nullable=True) for name in ("severity", "severity_low", "severity_high")}
    | {"p_fracture": _number(0, 1, nullable=True)}
    | {f"height_{column}_mm": _number(0, nullable=True) for column in HEIGHTS}
    | {f"height_{column}_sd_mm": _number(0, nullable=True) for column in HEIGHTS}
    | {f"intact_height_{column}_mm": _number(0, nullable=True) for column in HEIGHTS}
    | {"height_loss": _number(None, 1, nullable=True), "shape": _text()}
    | {"trabecular_hu": _number(nullable=True), "trabecular_hu_error": _number(0, nullable=True)}
    | {f"disc_{column}_mm": _number(nullable=True) for column in HEIGHTS}
    | {"slip_mm": _number(nullable=True)}
    | {"label_confidence": _number(0, 1, nullable=True), **_EVALUABLE, "flags": _text()},
    KEY,
)

# One row per phantom vertebra: the truth behind the images (heights in mm along the body's own axis).
PHANTOM_TRUTH = _schema(
    _VERTEBRA
    | {"genant_grade": _whole(GRADES), "shape": _text(), "height_loss": _number(0, 1), "finding": _text()}
    | {f"height_{column}_mm": _number(0) for column in HEIGHTS}
    | {f"healthy_height_{column}_mm": _number(0) for column in HEIGHTS}
    | {name: _number() for name in CENTRE_COLUMNS}
    | {name: _number() for name in POINT_COLUMNS}
    | {"complete": pa.Column(bool)},
    KEY,
)

# One row per vertebra of a scan with virtual fractures: what was done to it. kind: `fracture` (collapsed), `sham`
# (moved and stirred without loss) or `untouched`. intact: measured without a fracture before anything was done. Loss,
# grade and heights (mm, along the body's own axis) are relative to the vertebra as the patient has it.
VIRTUAL_KINDS = ["fracture", "sham", "untouched"]
VIRTUAL_TRUTH = _schema(
    _VERTEBRA
    | {"source_scan_id": _text(IDENTIFIER), "kind": pa.Column(str, pa.Check.isin(VIRTUAL_KINDS))}
    | {"intact": pa.Column(bool), "genant_grade": _whole(GRADES), "shape": _text(), "height_loss": _number(0, 1)}
    | {f"height_{column}_mm": _number(0) for column in HEIGHTS}
    | {f"healthy_height_{column}_mm": _number(0) for column in HEIGHTS}
    | {name: _number() for name in CENTRE_COLUMNS}
    | {name: _number() for name in POINT_COLUMNS},
    KEY,
)

# One row per method and vertebra of the challenge: what is true of it, and what was found and graded. kind `source`: it
# stands in the patient's own scan, of whose heights nothing is known but what was measured. found: the level that it
# was found by, -1 where it was not. threshold: severity beyond which it counts as noticed at 95 % specificity, chosen
# on other patients; NaN where these are too few.
SOURCE = "source"
VIRTUAL_CASES = _schema(
    _VERTEBRA
    | {
        "source_scan_id": _text(IDENTIFIER),
        "kind": pa.Column(str, pa.Check.isin([*VIRTUAL_KINDS, SOURCE])),
        "genant_grade": _whole(GRADES),
        "shape": _text(),
        "height_loss": _number(0, 1),
        "region": _text(),
        "scanner": _text(),
        "found": _whole(),
    }
    | {f"{of}_{column}_mm": _number(0, nullable=True) for of in ("height", "measured") for column in HEIGHTS}
    | {"method": _text(r"^[a-z0-9_]+$"), "severity": _number(0, 3, nullable=True), "grade": _whole([-1, *GRADES])}
    | {f"severity_{end}": _number(0, 3, nullable=True) for end in ("low", "high")}
    | {**_EVALUABLE, "novelty": _number(nullable=True), "unlike_training": pa.Column(bool)}
    | {"noticed": pa.Column(bool), "threshold": _number(nullable=True)},
    ["method", *KEY],
)

# One row per crop of a training vertebra, as it is (shape "") or collapsed in place; crop: its place in the packed
# array. loss: fraction of its own height that each column lost.
LOSSES = [f"loss_{column}" for column in HEIGHTS]
COLLAPSED_CROPS = _schema(
    _VERTEBRA | {"crop": _whole(), "shape": _text()} | {name: _number(None, 1) for name in LOSSES},
    [*KEY, "shape"],
)

# One row per synthetic picture of a vertebra at another grade. row, picture: its place in images.npy, whose first two
# pictures of a row are the crop and its reconstruction. Losses are fractions of the heights that an intact vertebra
# would have, measured on the picture; height_loss is the largest. outside_to_inside: mean change beyond the body over
# that within it. reached: the height loss is within 8 points of the middle of the grade.
COUNTERFACTUALS = _schema(
    _VERTEBRA
    | {"row": _whole(), "picture": _whole(), "shape": _text(), "wanted_grade": _whole(GRADES)}
    | {f"wanted_{name}": _number(None, 1) for name in LOSSES}
    | {name: _number(None, 1) for name in [*LOSSES, "height_loss"]}
    | {"wanted_severity": _number(0, 3), "severity": _number(0, 3)}
    | {
        name: _number(0)
        for name in ("outside_to_inside", "outside_share", "reconstruction_error_hu", "return_error_hu")
    }
    | {"nearest_training": _number(0, 1, nullable=True), "returns": pa.Column(bool), "reached": pa.Column(bool)},
    ["row", "picture"],
)

# Parts of a crop; where two overlap, the last one counts. `lost`: where an intact body would be and this one is not.
AREAS = ("elsewhere", "discs", "lost", "neighbours", "body", "endplates")
LOOKS = ["gradient", "occlusion", "pca"]
# One row per test vertebra and map of where its severity comes from. score: grades above the average intact vertebra.
# By area: its share of the crop, share of the map's absolute values, and the sum of its pixels (NaN: these overlap).
LOOKS_AT = _schema(
    _VERTEBRA
    | {"row": _whole(), "map": pa.Column(str, pa.Check.isin(LOOKS))}
    | {"grade": _whole(GRADES), "severity": _number(0, 3), "score": _number()}
    | {f"{of}_{name}": _number(0, 1) for of in ("area", "share") for name in AREAS}
    | {f"grades_{name}": _number(nullable=True) for name in AREAS}
    | {"agreement": _number(-1, 1, nullable=True)},
    ["row", "map"],
)

# What one grade of severity changes in a height, as a fraction of the expected one; NaN where there are too few.
GRADE_HEIGHTS = _schema(
    {"source": _text("^(pictures|crops)$"), "part": _text(), "shape": pa.Column(str, pa.Check.isin(SHAPES))}
    | {"step": _text(r"^[0-3]-[0-3]$"), "column": pa.Column(str, pa.Check.isin(HEIGHTS))}
    | {name: _number(nullable=True) for name in ("change", "low", "high")}
    | {"vertebrae": _whole(), "patients": _whole()},
    ["source", "part", "shape", "step", "column"],
)


class TableError(ValueError):
    """A table that does not keep its contract."""


def check_table(table: pd.DataFrame, schema: pa.DataFrameSchema, name: str) -> pd.DataFrame:
    """The table with its columns in order and of the right types. TableError names the file, column and values."""
    try:
        return schema.validate(table.reset_index(drop=True), lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases[["column", "check", "failure_case"]].drop_duplicates().head(10)
        raise TableError(f"{name}: the table breaks its contract:\n{cases.to_string(index=False)}") from error


def empty_table(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """A table of no rows with the right columns and types; without those that may be left out but not be unknown."""
    columns = [name for name, column in schema.columns.items() if column.required or column.nullable]
    return check_table(pd.DataFrame({name: [] for name in columns}), schema, "empty table")


def doubt_of(table: pd.DataFrame) -> pd.DataFrame:
    """What is doubtful of each row, for the next table: label_confidence and flags; NaN and "" where it has none."""
    return table.reindex(columns=list(_DOUBT)).assign(flags=table.get("flags", ""))


def has_flag(table: pd.DataFrame, flag: str) -> np.ndarray:
    """Which rows (N,) have a flag."""
    return np.array([flag in text.split() for text in doubt_of(table)["flags"]], dtype=bool)


def flags_with(table: pd.DataFrame, added: Mapping[str, np.ndarray]) -> list[str]:
    """The flags of each row, sorted and joined by blanks, with those added of which `added` (N,) is true."""
    columns = {flag: np.asarray(which, dtype=bool) for flag, which in added.items()}
    return [
        " ".join(sorted({*text.split(), *(flag for flag, which in columns.items() if which[row])}))
        for row, text in enumerate(doubt_of(table)["flags"])
    ]


def is_text(column: pa.Column) -> bool:
    """Whether a column contains text; pandera names the type `str` or `string[pyarrow]`, as pandas stores it."""
    return str(column.dtype).startswith("str")


def read_table(path: str | Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a Parquet, TSV or CSV table and check it against its schema."""
    path = Path(path)
    if path.suffix in SEPARATORS:
        texts = {name: str for name, column in schema.columns.items() if is_text(column)}
        separator = SEPARATORS[path.suffix]
        table = pd.read_csv(path, sep=separator, dtype=texts, keep_default_na=False, na_values=[""])
        table[[*texts]] = table[[*texts]].fillna("")
    else:
        table = pd.read_parquet(path)
    return check_table(table, schema, str(path))


def read_tables(paths: list[str], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read the tables of several shards as one, sorted by patient, scan and vertebra."""
    keys = [name for name in ("patient_id", "scan_id", "vertebra") if name in schema.columns]
    tables = [read_table(path, schema) for path in paths]
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True).sort_values(keys, ignore_index=True, kind="stable")


def write_table(path: str | Path, table: pd.DataFrame, schema: pa.DataFrameSchema) -> None:
    """Check a table against its contract and write it as Parquet, or as TSV or CSV by its suffix."""
    write_frame(path, check_table(table, schema, str(path)))


def write_frame(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table that no other rule reads by a contract: Parquet, or TSV or CSV by its suffix."""
    with new_file(path) as temporary:
        if temporary.suffix in SEPARATORS:
            table.to_csv(temporary, sep=SEPARATORS[temporary.suffix], index=False, lineterminator="\n")
        else:
            table.to_parquet(temporary, index=False)
