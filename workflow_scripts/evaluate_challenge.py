"""Measure how every method grades virtual fractures, against what is true of them."""

import pandas as pd

from vertegrade.cohort.splits import in_split
from vertegrade.drawn_tables import VIRTUAL_CASES, VIRTUAL_TRUTH
from vertegrade.evaluation.challenge.cases import challenge_bodies, challenge_cases
from vertegrade.evaluation.challenge.measures import challenge_measures
from vertegrade.files import read_json, write_json
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import (
    LABELS,
    LANDMARKS,
    MEASUREMENTS,
    PATIENT_SPLITS,
    PREDICTIONS,
    SCANS,
    empty_table,
    read_table,
    read_tables,
    write_table,
)
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings, fracture_grade = job.settings(EvaluationSettings), job.settings(GradingSettings).fracture_grade
    splits, scans = read_table(job.input.splits, PATIENT_SPLITS), read_tables(job.input.scans, SCANS)
    bodies = challenge_bodies(
        read_tables(job.input.truth, VIRTUAL_TRUTH),
        read_tables(job.input.landmarks, LANDMARKS),
        read_tables(job.input.measurements, MEASUREMENTS),
        scans,
        read_table(job.input.labels, LABELS) if job.input.labels else empty_table(LABELS),
        splits,
        settings.thickness_bands_mm,
    )
    cases = {
        method: challenge_cases(
            bodies, read_table(virtual, PREDICTIONS), read_table(own, PREDICTIONS), method, fracture_grade
        )
        for method, virtual, own in zip(job.params.methods, job.input.virtual, job.input.own, strict=True)
    }
    tested = scans[in_split(splits, scans["patient_id"], "test")]
    numbers = challenge_measures(cases, tested, settings, fracture_grade, job.seed)
    numbers["credibility"] = read_json(job.input.credibility)
    write_json(job.output.numbers, numbers, sort_keys=False)  # bands of loss from small to large
    write_table(job.output.cases, pd.concat(cases.values(), ignore_index=True), VIRTUAL_CASES)
