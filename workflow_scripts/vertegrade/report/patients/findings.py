"""What was found in a patient, as values: scans, vertebrae, grades, heights; worst first."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from vertegrade.cohort.qc import QcMark
from vertegrade.grading.grades import grade_table
from vertegrade.level_texts import level_text
from vertegrade.levels import NAMES, craniocaudal_rank
from vertegrade.methods import METHODS
from vertegrade.report.spread import LOOK, LOOK_SEVERITY
from vertegrade.tables import HEIGHTS, KEY, doubt_of

NO_MARK = QcMark("", "")


@dataclass(frozen=True)
class Height:
    """One of the three heights. loss: fraction of what it would be if the vertebra were intact; negative if higher."""

    column: str
    mm: float
    intact_mm: float
    loss: float


@dataclass(frozen=True)
class Vertebra:
    """One vertebra of a scan, by the first method of a run; NaN and None where something is unknown.

    level: its name for people (`about T9`). heights: none where they were not measured. shape: of a fracture by the
    heights, "" where these show none. others: grade (None: no grade) and severity by the other methods, by their names.
    """

    label: int
    level: str
    label_confidence: float
    evaluable: bool
    reason: str
    flags: tuple[str, ...]
    grade: int | None
    severity: float
    severity_low: float
    severity_high: float
    p_fracture: float
    novelty: float
    shape: str
    heights: tuple[Height, ...]
    others: Mapping[str, tuple[int | None, float]]

    @property
    def name(self) -> str:
        """The level's plain name, unique in a scan."""
        return NAMES[self.label]

    @property
    def look(self) -> bool:
        """Whether a method withholds a grade of 2 or 3."""
        return LOOK in self.flags

    @property
    def urgency(self) -> float:
        """By which vertebrae are sorted, worst first; -1 where nothing is known of it."""
        graded = self.severity if self.evaluable else -1.0
        return max(graded, LOOK_SEVERITY) if self.look else graded

    @property
    def suspicious(self) -> bool:
        """Whether its pictures at other grades are worth a look; `suspicious_vertebrae` draws the same ones."""
        return self.look or bool(self.grade)


@dataclass(frozen=True)
class Scan:
    """One scan of a patient. vertebrae: from head to feet. image: SHA-256 of its voxels, "" where it has none."""

    id: str
    patient: str
    state: str
    reason: str
    flags: tuple[str, ...]
    image: str
    vertebrae: tuple[Vertebra, ...]
    mark: QcMark


@dataclass(frozen=True)
class Patient:
    """One patient. p_fracture: the probability that any vertebra is fractured, NaN where unknown.

    called: whether the patient is called fractured by the limit of this probability, None where there is none.
    """

    id: str
    scans: tuple[Scan, ...]
    p_fracture: float
    called: bool | None = None

    @cached_property
    def found(self) -> list[tuple[Scan, Vertebra]]:
        """All vertebrae with their scans, worst first."""
        pairs = [(scan, vertebra) for scan in self.scans for vertebra in scan.vertebrae]
        return sorted(pairs, key=lambda pair: -pair[1].urgency)

    @cached_property
    def graded(self) -> list[tuple[Scan, Vertebra]]:
        """Those with a grade, worst first."""
        return [pair for pair in self.found if pair[1].evaluable]

    def differs(self, least: int) -> bool:
        """Whether the call by the limit of patients is another than by the grades of the vertebrae."""
        return self.called is not None and self.called != bool(self.fractured(least))

    def fractured(self, least: int) -> list[tuple[Scan, Vertebra]]:
        """Those of at least this grade, worst first."""
        return [pair for pair in self.graded if pair[1].grade is not None and pair[1].grade >= least]

    @cached_property
    def looks(self) -> list[tuple[Scan, Vertebra]]:
        """Those whose grade a method withholds although it would be 2 or 3."""
        return [pair for pair in self.found if pair[1].look]

    @property
    def rank(self) -> tuple[float, int, str]:
        """By which patients are sorted, worst first; those without any vertebra are last."""
        worst = self.found[0][1].urgency if self.found else -2.0
        return -worst, sum(scan.state == "done" for scan in self.scans), self.id


def side_by_side(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """PREDICTIONS of the first method, head to feet, with columns grade_NAME and severity_NAME of the other ones.

    Flags are those of GRADE_TABLE: they say too where methods disagree.
    """
    main, *others = predictions
    first = predictions[main].assign(**doubt_of(predictions[main]))
    flags = grade_table(predictions)[[*KEY, "flags"]]
    table = first.drop(columns="flags").merge(flags, on=KEY, how="left", validate="one_to_one")
    for method in others:
        its = predictions[method][[*KEY, "grade", "severity"]]
        named = its.rename(columns={name: f"{name}_{method}" for name in ("grade", "severity")})
        table = table.merge(named, on=KEY, how="left", validate="one_to_one")
    return table.sort_values("vertebra", key=lambda labels: labels.map(craniocaudal_rank), kind="stable")


def patients_of(
    scans: pd.DataFrame, grades: pd.DataFrame, measurements: pd.DataFrame, marks: Mapping[str, QcMark]
) -> list[Patient]:
    """The patients, worst first.

    scans: SCANS after localization. grades: `side_by_side`. measurements: MEASUREMENTS. marks: of quality control.
    """
    heights = [f"{of}height_{column}_mm" for of in ("", "intact_") for column in HEIGHTS]
    measured = measurements.loc[
        measurements["evaluable"], [*KEY, *heights, *(f"loss_{column}" for column in HEIGHTS), "shape"]
    ]
    rows = grades.merge(measured, on=KEY, how="left", validate="one_to_one")
    of_scan = {name: part.to_dict("records") for name, part in rows.groupby("scan_id", sort=False)}
    found: dict[str, list[Scan]] = {}
    for scan in scans.sort_values(["patient_id", "scan_id"]).to_dict("records"):
        vertebrae = tuple(_vertebra(row) for row in of_scan.get(scan["scan_id"], []))
        found.setdefault(scan["patient_id"], []).append(
            Scan(
                scan["scan_id"],
                scan["patient_id"],
                scan["state"],
                scan["reason"],
                tuple(scan["flags"].split()),
                scan["image_sha256"],
                vertebrae,
                marks.get(scan["scan_id"], NO_MARK),
            )
        )
    called = _called(grades)
    patients = [Patient(name, tuple(its), *called.get(name, (math.nan, None))) for name, its in found.items()]
    return sorted(patients, key=lambda patient: patient.rank)


def _called(grades: pd.DataFrame) -> dict[str, tuple[float, bool | None]]:
    """By patient the probability of any fracture, and whether its limit calls the patient fractured."""
    columns = {"patient_p_fracture": math.nan, "patient_fractured": -1}
    said = grades.assign(**{name: unknown for name, unknown in columns.items() if name not in grades})
    found = said.groupby("patient_id")[list(columns)].max()
    return {
        # Without a probability there was no limit: the worst grade called, which would confirm itself.
        str(name): (p, None if math.isnan(p) or call < 0 else call == 1)
        for name, p, call in found.itertuples()
    }


def other_methods(columns: Iterable[Any]) -> list[str]:
    """The methods beside the first one that columns of `side_by_side` are of."""
    return [name for name in METHODS if f"grade_{name}" in set(columns)]


def _vertebra(row: Mapping[Any, Any]) -> Vertebra:
    """From a row of `side_by_side` with the columns of its measurement."""
    heights = tuple(
        Height(column, row[f"height_{column}_mm"], row[f"intact_height_{column}_mm"], row[f"loss_{column}"])
        for column in HEIGHTS
    )
    return Vertebra(
        label=row["vertebra"],
        level=level_text(row["vertebra"], row["label_confidence"]),
        evaluable=bool(row["evaluable"]),
        flags=tuple(row["flags"].split()),
        grade=_grade(row["grade"]) if row["evaluable"] else None,
        shape=row["shape"] if isinstance(row["shape"], str) else "",
        heights=() if math.isnan(row[f"height_{HEIGHTS[0]}_mm"]) else heights,
        others={name: (_grade(row[f"grade_{name}"]), row[f"severity_{name}"]) for name in other_methods(row)},
        **{
            name: row[name]
            for name in (
                "label_confidence",
                "reason",
                "severity",
                "severity_low",
                "severity_high",
                "p_fracture",
                "novelty",
            )
        },
    )


def _grade(value: float) -> int | None:
    return int(value) if value >= 0 else None
