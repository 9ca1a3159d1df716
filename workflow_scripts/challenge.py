"""Write the page of the challenge: at what loss VIRTUAL fractures of the cohort's scans are noticed, with pictures."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array
from vertegrade.drawn_tables import VIRTUAL_CASES
from vertegrade.files import read_json, write_text
from vertegrade.plotting import save_figure
from vertegrade.report.challenge.figures import all_figures
from vertegrade.report.challenge.page import Shown, challenge_page
from vertegrade.report.challenge.pictures import chosen_examples, picture
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import CROPS, KEY, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    numbers, cases = read_json(job.input.numbers), read_table(job.input.cases, VIRTUAL_CASES)
    settings = job.settings(ReportSettings)

    def crops_of(tables: list[str], pixels: list[str], wanted: pd.DataFrame) -> dict[tuple[str, int], np.ndarray]:
        """Crops (S, H, W) in HU of the wanted vertebrae by scan and level."""
        found = {}
        for table, array in zip(tables, pixels, strict=True):
            rows = read_table(table, CROPS).merge(wanted, on=KEY)
            images = read_array(array)
            found |= {(row.scan_id, row.vertebra): np.array(images[row.crop]) for row in rows.itertuples()}
        return found

    chosen = chosen_examples(cases)
    shown = pd.concat([example.iloc[:1] for example in chosen]) if chosen else cases.iloc[:0]
    after = shown[["scan_id", "found"]].rename(columns={"found": "vertebra"})
    before = shown[["source_scan_id", "vertebra"]].rename(columns={"source_scan_id": "scan_id"})
    virtual = crops_of(job.input.virtual_crops, job.input.virtual_pixels, after.drop_duplicates())
    own = crops_of(job.input.own_crops, job.input.own_pixels, before.drop_duplicates())
    examples = []
    for example in chosen:
        row = example.iloc[0]
        images = own.get((row["source_scan_id"], row["vertebra"])), virtual.get((row["scan_id"], row["found"]))
        examples.append(Shown(example, picture(*images, settings)))
    with tempfile.TemporaryDirectory() as folder:
        figures = {}
        for name, figure in all_figures(numbers, cases).items():
            figures[name] = Path(folder, f"{name}.svg")
            save_figure(figure, figures[name])
        write_text(job.output.page, challenge_page(numbers, figures, examples, job.params.about))
