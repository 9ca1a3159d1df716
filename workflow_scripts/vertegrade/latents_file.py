"""Latents with grades and patients in one file, as people have them: npz or Parquet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.grading.rows import Whole
from vertegrade.tables import GRADES, SPLITS

NEEDED, UNKNOWN = ("z", "grade", "patient"), -1


class LatentsError(ValueError):
    """Latents that cannot be graded: one line that names the file, what is wrong with it, and the remedy."""


@dataclass(frozen=True, eq=False)
class LabelledLatents:
    """z: (N, D). grade: (N,) 0-3, -1 where unknown. patient: N names. split: N of train, validation, test; or None."""

    z: Floats
    grade: Whole
    patient: list[str]
    split: list[str] | None = None


def read_latents(path: Path) -> LabelledLatents:
    """The latents of a file; LatentsError where it cannot be used.

    npz: arrays `z` (N, D), `grade` (N,), `patient` (N,) and, if given, `split` (N,). Parquet: columns of these names,
    `z` a list of D numbers in each row.
    """
    try:
        found = {".npz": _of_npz, ".parquet": _of_parquet}[path.suffix](path)
    except KeyError:
        raise LatentsError(f"{path}: not a file of latents; give .npz or .parquet") from None
    except FileNotFoundError:
        raise LatentsError(f"{path}: not there; correct the path") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise LatentsError(f"{path}: cannot be read ({reason}); write it again, without pickled objects") from error
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise LatentsError(f"{path}: no {', '.join(missing)}; it needs z, grade and patient, one entry for each row")
    try:
        return checked_latents(found["z"], found["grade"], found["patient"], found.get("split"))
    except LatentsError as error:
        raise LatentsError(f"{path}: {error}") from error


def _of_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _of_parquet(path: Path) -> dict[str, Any]:
    table = pd.read_parquet(path)
    found: dict[str, Any] = {name: table[name].to_numpy() for name in (*NEEDED, "split") if name in table}
    if "z" in found:
        lengths = {np.size(row) for row in found["z"]}
        if len(lengths) > 1:
            raise LatentsError(f"{path}: rows of z have {min(lengths)} to {max(lengths)} numbers; give all the same")
        found["z"] = np.array(found["z"].tolist())
    return found


def checked_latents(z: Any, grade: Any, patient: Any, split: Any = None) -> LabelledLatents:
    """The latents as arrays; LatentsError, without a file's name, where they cannot be used."""
    z, grade = np.asarray(z), np.asarray(grade)
    if z.ndim != 2 or not z.size or z.dtype.kind not in "fiu":
        raise LatentsError(f"z has the shape {z.shape} of {z.dtype}; give numbers, one row of them per vertebra")
    given = {"grade": grade, "patient": patient} | ({} if split is None else {"split": split})
    for name, values in given.items():
        if np.shape(values) != (len(z),):
            raise LatentsError(f"{name} has the shape {np.shape(values)}, z has {len(z)} rows; give one for each row")
    bad = np.flatnonzero(~np.isfinite(z.astype(np.float64)).all(axis=1))
    if len(bad):
        raise LatentsError(f"z is not finite in {len(bad)} rows, first in row {bad[0]}; leave these out")
    if grade.dtype.kind not in "fiu":
        raise LatentsError(f"grade is {grade.dtype}; give numbers of {GRADES[0]} to {GRADES[-1]}, -1 for unknown")
    known = np.where(np.isnan(grade.astype(np.float64)), UNKNOWN, grade)
    odd = np.flatnonzero(~np.isin(known, [UNKNOWN, *GRADES]))
    if len(odd):
        raise LatentsError(
            f"grade is {known[odd[0]]:g} in row {odd[0]}; give {GRADES[0]} to {GRADES[-1]}, -1 for unknown"
        )
    names = ["" if value is None or value != value else str(value) for value in np.asarray(patient).tolist()]
    if "" in names:
        raise LatentsError(f"row {names.index('')} has no patient; name one, since folds keep patients together")
    splits = None if split is None else _checked_split([str(value) for value in split], names)
    return LabelledLatents(z.astype(np.float64), known.astype(np.int64), names, splits)


def _checked_split(split: list[str], patient: list[str]) -> list[str]:
    unknown = sorted(set(split) - set(SPLITS))
    if unknown:
        raise LatentsError(f"split has {unknown[0]!r}; give {', '.join(SPLITS)}, or leave split out")
    of: dict[str, str] = {}
    for name, value in zip(patient, split, strict=True):
        if of.setdefault(name, value) != value:
            raise LatentsError(f"patient {name} is in the splits {of[name]} and {value}; give each patient one")
    return split
