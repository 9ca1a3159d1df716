"""The page of the comparison of methods: one self-contained HTML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vertegrade.evaluation.comparison.figure import label_of, methods_of
from vertegrade.evaluation.comparison.tables import PATIENTS, THIS_RUN, VERTEBRAE, WHOLE_SCAN
from vertegrade.methods import METHODS
from vertegrade.plotting import NOTICE
from vertegrade.reasons import REASONS
from vertegrade.report.comparison.beside import challenge_block, cost_rows
from vertegrade.report.comparison.curves import curve_tables, unfitted
from vertegrade.report.comparison.groups import acquisition_tables, finding_rows
from vertegrade.report.comparison.rows import (
    counts_text,
    headings,
    left_out_rows,
    method_rows,
    pair_rows,
    published,
    unread_text,
)
from vertegrade.report.data_uris import data_uri
from vertegrade.report.templates import PHANTOM_FACT, templates
from vertegrade.vertebra_reasons import VERTEBRA_REASONS

MEANINGS = {code: reason.meaning for code, reason in REASONS.items()}
MEANINGS |= {code: reason.meaning for code, reason in VERTEBRA_REASONS.items()}


@dataclass(frozen=True)
class Compared:
    """What the page shows.

    comparison: COMPARISON; left_out: LEFT_OUT; learning: LEARNING_CURVE of those that have one; groups:
    COMPARED_GROUPS; cost: METHOD_COST; challenges: challenge.json by whose scans it is of, None where another model
    graded these; figure: an image file; scans: those that seq2seq was given, of its patients.json, None where it is not
    compared.
    """

    comparison: pd.DataFrame
    left_out: pd.DataFrame
    learning: pd.DataFrame
    groups: pd.DataFrame
    cost: pd.DataFrame
    challenges: Mapping[str, Mapping[str, Any] | None]
    figure: Path
    scans: Mapping[str, Any] | None = None


def comparison_page(of: Compared, confidence: float, phantom: bool) -> str:
    """The page as HTML. confidence: of the intervals. phantom: whether the cohort is the embedded one."""
    table = of.comparison
    methods = methods_of(table)
    labelled = table[(table["data"] == THIS_RUN) & (table["unit"] == VERTEBRAE) & (table["figure"] == "graded")]
    return (
        templates(Path(__file__).parent)
        .get_template("page.html.j2")
        .render(
            notice=NOTICE,
            phantom_fact=PHANTOM_FACT if phantom else "",
            confidence=f"{100 * confidence:g}",
            counts=counts_text(table),
            labelled=int(labelled["n"].iloc[0]),
            abouts={METHODS[name].label: METHODS[name].about for name in methods},
            levels=[
                {
                    "name": name,
                    "headings": headings(unit, table),
                    "rows": method_rows(unit, table),
                    "pairs": pair_rows(unit, table),
                    "pair_headings": headings(unit, table, pairs=True),
                }
                for unit, name in ((VERTEBRAE, "Vertebrae"), (PATIENTS, "Patients"))
            ],
            whole_scan=label_of(WHOLE_SCAN) if WHOLE_SCAN in methods_of(table, PATIENTS) else "",
            unread="" if of.scans is None else unread_text(of.scans),
            figure=data_uri(of.figure),
            left_out=left_out_rows(of.left_out, MEANINGS),
            published=published(table),
            methods=[METHODS[name].label for name in methods],
            findings=finding_rows(of.groups),
            acquisitions=acquisition_tables(of.groups),
            kernels=of.groups.loc[of.groups["kind"] == "kernel", "group"].nunique(),
            challenges=[challenge_block(name, numbers) for name, numbers in of.challenges.items() if numbers],
            other_models=[name for name, numbers in of.challenges.items() if not numbers],
            costs=cost_rows(of.cost),
            scans=int(of.cost["scans"].max()) if len(of.cost) else 0,
            curves=curve_tables(of.learning),
            shares=sorted(set(of.learning["share"])),
            unfitted=unfitted(of.learning),
            trained=[METHODS[name].label for name in methods if METHODS[name].scores],
        )
    )
