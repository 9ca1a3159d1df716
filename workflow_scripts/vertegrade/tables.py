"""Every table that crosses a stage: its columns, types and units, checked when written and when read.

Positions are RAS millimetres of the patient (NIfTI's world), vertebrae are VerSe labels, HU are int16.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from vertegrade.columns import EVALUABLE, IDENTIFIER, SCAN, VERTEBRA, contract, number, text, whole
from vertegrade.files import new_file

STATES = ["done", "excluded", "failed"]
SPLITS = ["train", "validation", "test"]
HEIGHTS = ["anterior", "middle", "posterior"]
BODY_HEIGHTS = [f"height_{column}_mm" for column in HEIGHTS]
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


_STATE = {"state": pa.Column(str, pa.Check.isin(STATES)), "reason": text(), "message": text()}
# What is doubtful of a vertebra is in every table with it: the probability that its label is right (NaN: given
# with the scan), and the flags of its scan and of itself (reasons.py, vertebra_reasons.py), joined by blanks.
_LABEL_CONFIDENCE = {"label_confidence": number(0, 1, nullable=True, required=False)}
_FLAGS = {"flags": text(required=False)}
_DOUBT = _LABEL_CONFIDENCE | _FLAGS
_OF_PATIENT = {"patient_p_fracture": number(0, 1, nullable=True, required=False)}

# One row per scan: what became of it at conversion. reason is "" for done scans; numbers are NaN where unknown; flags
# (reasons.py: FLAGS) are joined by blanks.
SCANS = contract(
    SCAN
    | _STATE
    | {
        "slices": number(nullable=True),
        "slice_spacing_mm": number(nullable=True),
        "slice_thickness_mm": number(nullable=True),
        "pixel_mm": number(nullable=True),
        "manufacturer": text(),
        "kernel": text(),
        "image_sha256": text(),
        "warnings": text(),
        "flags": text(),
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
LANDMARKS = contract(
    VERTEBRA
    | {name: number() for name in CENTRE_COLUMNS}
    | {name: number(nullable=True) for name in POINT_COLUMNS}
    | {name: number(0, nullable=True, required=False) for name in POINT_SD_COLUMNS}
    | {"confidence": number(0, 1)}
    | _LABEL_CONFIDENCE
    | {"source": text(), **EVALUABLE}
    | _FLAGS,
    KEY,
)

# One row per picture of a spine from the side (report/spine_view.py): its size in pixels, their side, and the place of
# the centre of its first pixel, RAS mm (z downwards by row, y from front to back by column).
SPINES = contract(
    SCAN
    | {"rows": whole(), "columns": whole(), "pixel_mm": number(0)}
    | {name: number() for name in ("top_mm", "front_mm")},
    ["scan_id"],
)

# One row per crop, in the order of the packed arrays <shard>.npy (pixels) and <shard>_frames.npy (geometry).
CROPS = contract(
    VERTEBRA
    | {
        "crop": whole(),
        "inside_fraction": number(0, 1),
        "slice_thickness_mm": number(nullable=True),
        **EVALUABLE,
    }
    | _DOUBT,
    KEY,
)

# One row per scan, in the order of the packed array <shard>.npy of its straightened spine: its rows there, and in how
# many of the axial slices between its ends the spinal canal was seen. Not evaluable: no canal, no rows.
STRAIGHT_SPINES = contract(
    SCAN | {"first_row": whole(), "rows": whole(), "canal_seen": number(0, 1), **EVALUABLE}, ["scan_id"]
)

# One row per crop, in the same order: where the body begins and ends in its scan's straightened spine, in rows from
# the spine's first; NaN where it does not lie in it. Its heights by the six points; NaN where these are unknown.
SPINE_BODIES = contract(
    VERTEBRA
    | {"crop": whole(), "top_row": number(nullable=True), "bottom_row": number(nullable=True)}
    | {name: number(0, nullable=True) for name in BODY_HEIGHTS}
    | EVALUABLE
    | _DOUBT,
    KEY,
)

# One row per scan that a sequence model looked at: P(fractured) by its scan head and by
# the worst of its patches, of each network and of all together (`ensemble`); NaN where it is not evaluable.
SCAN_SCORES = contract(
    SCAN
    | {"network": text(), "p_fracture": number(0, 1, nullable=True), "p_worst_patch": number(0, 1, nullable=True)}
    | EVALUABLE,
    ["scan_id", "network"],
)

# One row per labelled vertebra. height_loss (fraction, 0-1) is NaN unless true (phantoms). Not usable: reason says why.
LABELS = contract(
    VERTEBRA
    | {
        "genant_grade": number(0, 3, nullable=True),
        "shape": text(),
        "height_loss": number(0, 1, nullable=True),
        "usable": pa.Column(bool),
        "reason": text(),
    },
    KEY,
)

# One row per patient.
PATIENT_SPLITS = contract(
    {
        "patient_id": text(IDENTIFIER),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
        "origin": pa.Column(str, pa.Check.isin(["given", "hash"])),
    },
    ["patient_id"],
)

# One row per crop; z is a list of float32. model_sha256 names the weights that made it. z_errors may be left out: what
# one standard deviation of each independent error of the measurement changes z by, these vectors one after the other
# in one list; NaN where the errors are unknown.
LATENTS = contract(
    VERTEBRA
    | {
        "crop": whole(),
        **EVALUABLE,
        "model_sha256": text(r"^[0-9a-f]{64}$"),
        "z": pa.Column(object),
        "z_errors": pa.Column(object, nullable=True, required=False),
    }
    | _DOUBT,
    KEY,
)

# One row per crop: what its image looks like, numbers in the order of grading/appearance.py.
APPEARANCE = contract(VERTEBRA | {"crop": whole(), "x": pa.Column(object)}, KEY)

# One row per vertebra that gets a crop: heights with their standard deviations, the heights it would have if it were
# intact, and what follows by rule (spine/indices.py). Losses and indices are fractions, negative where higher than
# intact. Numbers are NaN and grade is -1 where evaluable is False; deviations are NaN where the points' are unknown.
MEASUREMENTS = contract(
    VERTEBRA
    | {name: number(0, nullable=True) for name in BODY_HEIGHTS}
    | {f"height_{column}_sd_mm": number(0, nullable=True) for column in HEIGHTS}
    | {f"intact_height_{column}_mm": number(0, nullable=True) for column in HEIGHTS}
    | {f"loss_{column}": number(None, 1, nullable=True) for column in HEIGHTS}
    | {name: number(None, 1, nullable=True) for name in ("wedge", "biconcave", "crush", "height_loss")}
    | {"height_loss_sd": number(0, nullable=True), "shape": text()}
    | {"severity": number(0, 3, nullable=True), "severity_sd": number(0, nullable=True)}
    | {"grade": whole([-1, *GRADES]), **EVALUABLE}
    | _DOUBT,
    KEY,
)

# One row per sound vertebra of a scan: HU of its trabecular core (NaN: hu_reason says why; hu_note: what to know of
# them), heights of the disc below
# it, and how far it lies ahead of the next vertebra; NaN where that one is not there. Errors are standard deviations.
SPINE_MEASURES = contract(
    VERTEBRA
    | {"trabecular_hu": number(nullable=True), "trabecular_hu_error": number(0, nullable=True)}
    | {"hu_reason": text(), "hu_note": text()}
    | {f"disc_{column}_mm": number(nullable=True) for column in HEIGHTS}
    | {f"disc_{column}_error_mm": number(0, nullable=True) for column in HEIGHTS}
    | {"slip_mm": number(nullable=True), "slip_error_mm": number(0, nullable=True)},
    KEY,
)

# One row per scan with a sound vertebra: angles of its curves, NaN where their vertebrae are not all there.
SPINE_CURVES = contract(
    SCAN
    | {
        f"{name}{part}_deg": number(nullable=True)
        for name in ("kyphosis", "lordosis", "scoliosis")
        for part in ("", "_error")
    },
    ["scan_id"],
)

# One row per vertebra, whatever the method. Numbers are NaN and grade is -1 where evaluable is False; where the reason
# is UNLIKE_TRAINING the novelty stays, because it is the reason. signed_distance is the method's raw score before
# calibration (for the DAE (w.z + b)/|w|). The last two are of the patient; -1 where none of its vertebrae is graded.
UNLIKE_TRAINING = "unlike_training"
PREDICTIONS = contract(
    VERTEBRA
    | {
        "method": text(r"^[a-z0-9_]+$"),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
        "signed_distance": number(nullable=True),
        "severity": number(0, 3, nullable=True),
        "p_fracture": number(0, 1, nullable=True),
        **{f"p_grade_{grade}": number(0, 1, nullable=True) for grade in GRADES},
        "grade": whole([-1, *GRADES]),
        "severity_low": number(0, 3, nullable=True),
        "severity_high": number(0, 3, nullable=True),
        "novelty": number(0, 1, nullable=True),
        **EVALUABLE,
    }
    | _DOUBT
    | _OF_PATIENT
    | {"patient_fractured": whole([-1, 0, 1], required=False)},
    KEY,
)

# One row per vertebra with the grades of all methods, for people: CSV. Cells of what is unknown are empty. Columns are
# of the main method, `method`; grade_NAME and severity_NAME of each other one come last.
GRADE_TABLE = contract(
    {"research_use_only": text(), **SCAN, "level": text(), "vertebra": whole([*range(1, 26), 28])}
    | {"method": text(), "grade": pa.Column("Int64", pa.Check.isin(GRADES), nullable=True)}
    | {name: number(0, 3, nullable=True) for name in ("severity", "severity_low", "severity_high")}
    | {name: number(0, 1, nullable=True) for name in ("p_fracture", "novelty", "label_confidence")}
    | {**EVALUABLE, "flags": text()}
    | {"patient_p_fracture": number(0, 1, nullable=True)}
    | {"patient_fractured": pa.Column("Int64", pa.Check.isin([0, 1]), nullable=True)},
    KEY,
    strict=False,
)

# One row per vertebra that was found, for people: CSV. Cells of what is unknown are empty. Grade and severity are of
# the main method, `method`; heights are measured, and unlike the rest they stay where a grade is withheld.
VERTEBRA_TABLE = contract(
    {"research_use_only": text(), **SCAN, "level": text(), "vertebra": whole([*range(1, 26), 28])}
    | {"method": text(), "grade": pa.Column("Int64", pa.Check.isin(GRADES), nullable=True)}
    | {name: number(0, 3, nullable=True) for name in ("severity", "severity_low", "severity_high")}
    | {"p_fracture": number(0, 1, nullable=True)}
    | {name: number(0, nullable=True) for name in BODY_HEIGHTS}
    | {f"height_{column}_sd_mm": number(0, nullable=True) for column in HEIGHTS}
    | {f"intact_height_{column}_mm": number(0, nullable=True) for column in HEIGHTS}
    | {"height_loss": number(None, 1, nullable=True), "shape": text()}
    | {"trabecular_hu": number(nullable=True), "trabecular_hu_error": number(0, nullable=True)}
    | {"hu_reason": text(), "hu_note": text()}
    | {f"disc_{column}_mm": number(nullable=True) for column in HEIGHTS}
    | {f"disc_{column}_error_mm": number(0, nullable=True) for column in HEIGHTS}
    | {"slip_mm": number(nullable=True), "slip_error_mm": number(0, nullable=True)}
    | {"label_confidence": number(0, 1, nullable=True), **EVALUABLE, "flags": text()},
    KEY,
)

# One row per scan that was read, for people: CSV. SPINE_CURVES with empty cells where a curve was not measured.
CURVE_TABLE = contract({"research_use_only": text()} | dict(SPINE_CURVES.columns), ["scan_id"])

# One row per phantom vertebra: the truth behind the images (heights in mm along the body's own axis).
PHANTOM_TRUTH = contract(
    VERTEBRA
    | {"genant_grade": whole(GRADES), "shape": text(), "height_loss": number(0, 1), "finding": text()}
    | {f"height_{column}_mm": number(0) for column in HEIGHTS}
    | {f"healthy_height_{column}_mm": number(0) for column in HEIGHTS}
    | {name: number() for name in CENTRE_COLUMNS}
    | {name: number() for name in POINT_COLUMNS}
    | {"complete": pa.Column(bool)},
    KEY,
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
