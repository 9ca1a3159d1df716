"""See whether a classifier can tell shams from untouched vertebrae, and virtual from real fractures."""

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array
from vertegrade.drawn_tables import VIRTUAL_TRUTH
from vertegrade.evaluation.cases import patient_codes
from vertegrade.evaluation.challenge.credibility import (
    REAL,
    SHAM,
    UNTOUCHED,
    VIRTUAL,
    WANTED_AUC,
    Looks,
    groups_of,
    looks_of,
    told_apart,
)
from vertegrade.files import write_json
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import CROPS, KEY, LABELS, LANDMARKS, empty_table, read_table, read_tables
from vertegrade.virtual_fractures.truth import found_truth
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    truth, landmarks = read_tables(job.input.truth, VIRTUAL_TRUTH), read_tables(job.input.landmarks, LANDMARKS)
    labels = read_table(job.input.labels, LABELS) if job.input.labels else empty_table(LABELS)
    groups = groups_of(found_truth(truth, landmarks), labels)
    parts, looks = [], []
    for crops_file, pixels_file in zip(job.input.crops, job.input.pixels, strict=True):
        crops = read_table(crops_file, CROPS)
        rows = groups.merge(crops.loc[crops["evaluable"], [*KEY, "crop"]], on=KEY)
        parts.append(rows)
        looks.append(looks_of(read_array(pixels_file)[rows["crop"].to_numpy()]))
    cases = pd.concat(parts, ignore_index=True)
    texture, picture = (np.concatenate(values) for values in zip(*looks, strict=True))
    settings = job.settings(EvaluationSettings)
    card: dict[str, object] = {"wanted_auc": WANTED_AUC}
    for name, positive, negative in (
        ("sham_against_untouched", SHAM, UNTOUCHED),
        ("virtual_against_real", VIRTUAL, REAL),
    ):
        here = cases["group"].isin([positive, negative]).to_numpy()
        these = cases[here]
        card[name] = told_apart(
            Looks(texture[here], picture[here]),
            (these["group"] == positive).to_numpy(dtype=bool),
            patient_codes(these),
            settings,
            job.seed,
        )
        job.log.info("%s: %s", name, card[name])
    write_json(job.output.card, card)
