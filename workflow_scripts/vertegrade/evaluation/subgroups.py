"""Subgroups of labelled vertebrae: by patient (sex, age band) and by scanner (maker, kernel, slice thickness).

What nobody knows is a group of its own, UNKNOWN: nothing is guessed. Sex and age are of the sample sheet, maker and
kernel of the scan's header.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from vertegrade.cohort.subjects import AGE_BANDS, SEXES
from vertegrade.evaluation.bands import thickness_bands
from vertegrade.settings.evaluation import EvaluationSettings

UNKNOWN = "unknown"
SEX_NAMES = {"F": "female", "M": "male", "O": "other"}
Grouped = tuple[pd.Series, list[str]]
Subjects = Mapping[str, Sequence[str]]


def makers(scans: pd.DataFrame) -> pd.Series:
    """Maker of the scanner of each row of SCANS."""
    return scans["manufacturer"].fillna("").replace("", UNKNOWN)


def kernels(scans: pd.DataFrame) -> pd.Series:
    """Maker and kernel of each row of SCANS: kernels of different makers have names that cannot be ordered."""
    texts = scans["manufacturer"].fillna("") + " " + scans["kernel"].fillna("")
    return texts.str.strip().replace("", UNKNOWN)


def subgroups(
    cases: pd.DataFrame, scans: pd.DataFrame, subjects: Subjects, settings: EvaluationSettings
) -> dict[str, Grouped]:
    """By kind: the group of each case and all groups in order.

    cases: `labelled_cases`. scans: SCANS. subjects: sex and age band by scan, of those of whom any is known.
    """
    of_cases = cases[["scan_id"]].merge(scans, on="scan_id", how="left", validate="many_to_one").set_index(cases.index)
    said = [subjects.get(scan, ("", "")) for scan in cases["scan_id"]]
    sex = pd.Series([SEX_NAMES.get(one, UNKNOWN) for one, _ in said], index=cases.index, dtype=object)
    age = pd.Series([band or UNKNOWN for _, band in said], index=cases.index, dtype=object)
    maker, kernel = makers(of_cases), kernels(of_cases)
    return {
        "sex": (sex, [*(SEX_NAMES[one] for one in SEXES), UNKNOWN]),
        "age": (age, [*AGE_BANDS, UNKNOWN]),
        "maker": (maker, _unknown_last(maker)),
        "kernel": (kernel, _unknown_last(kernel)),
        "thickness": thickness_bands(cases["slice_thickness_mm"], settings.thickness_bands_mm),
    }


def _unknown_last(names: pd.Series) -> list[str]:
    return sorted(set(names), key=lambda name: (name == UNKNOWN, name))
