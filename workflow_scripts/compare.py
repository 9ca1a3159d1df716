"""Write the page and the figure of all methods side by side, and what each method took."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from vertegrade.evaluation.comparison.cost import cost_table
from vertegrade.evaluation.comparison.figure import comparison_figure
from vertegrade.evaluation.comparison.tables import (
    COMPARED_GROUPS,
    COMPARISON,
    LEARNING_CURVE,
    LEFT_OUT,
    METHOD_COST,
)
from vertegrade.files import read_json, sha256_of, write_text
from vertegrade.methods import MAIN
from vertegrade.plotting import save_figure
from vertegrade.report.comparison.page import Compared, comparison_page
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import SCANS, empty_table, read_table, read_tables, write_table
from vertegrade.workflow.job import run_job
from vertegrade.workflow.manifest import read_manifests


def applied_challenge(path: str, calibrator: str) -> dict[str, Any] | None:
    """challenge.json of scans that a model graded; None where this is another one than the calibrator is of."""
    inputs = read_json(Path(path).parents[1] / "manifest/grade" / f"{MAIN}.json")["inputs"]
    its = next(digest for file, digest in inputs.items() if file.endswith(f"grading/{MAIN}/calibrator.json"))
    numbers: dict[str, Any] = read_json(path)
    return numbers if its == sha256_of(calibrator) else None


with run_job(snakemake) as job:
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # of the PDF's letters
    comparison = read_table(job.input.comparison, COMPARISON)
    curves = [read_table(path, LEARNING_CURVE) for path in job.input.learning]
    learning = pd.concat(curves, ignore_index=True) if curves else empty_table(LEARNING_CURVE)
    groups = read_table(job.input.groups, COMPARED_GROUPS)
    figure = comparison_figure(comparison, learning, groups, "phantoms" if job.params.phantom else "patients")
    for path in (job.output.svg, job.output.pdf):
        save_figure(figure, path)
    made = {
        method: (str(Path(path)), sha256_of(path))
        for method, path in zip(job.params.methods, job.input.predictions, strict=True)
    }
    done = int((read_tables(job.input.scans, SCANS)["state"] == "done").sum())
    cost = cost_table(made, list(read_manifests(job.results)), done)
    write_table(job.output.cost, cost, METHOD_COST)
    challenges = {"this run": read_json(job.input.challenge)} if job.input.challenge else {}
    challenges |= {
        Path(path).parents[1].name: applied_challenge(path, job.input.calibrator)
        for path in job.input.applied
        if path.endswith("/virtual/challenge.json")
    }
    compared = Compared(
        comparison,
        read_table(job.input.left_out, LEFT_OUT),
        learning,
        groups,
        cost,
        challenges,
        Path(job.output.svg),
        read_json(job.input.seq2seq)["scans"] if job.input.seq2seq else None,
    )
    confidence = job.settings(EvaluationSettings).confidence
    write_text(job.output.page, comparison_page(compared, confidence, job.params.phantom))
