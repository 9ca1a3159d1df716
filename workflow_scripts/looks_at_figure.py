"""Where the severity comes from, averaged by grade over the mean crop, and what the pictures change."""

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array
from vertegrade.drawn_tables import COUNTERFACTUALS, LOOKS_AT
from vertegrade.plotting import save_figure
from vertegrade.report.looks_at import looks_at_figure
from vertegrade.report.strips import within_window
from vertegrade.settings.dae import DaeModelSettings
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import CROPS, KEY, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings = within_window(job.settings(ReportSettings), job.settings(DaeModelSettings))
    table = read_table(job.input.table, LOOKS_AT)
    rows = table[[*KEY, "row", "grade"]].drop_duplicates().sort_values("row", ignore_index=True)
    crops = pd.concat([read_table(path, CROPS).assign(shard=n) for n, path in enumerate(job.input.crops)])
    places = rows[KEY].merge(crops[[*KEY, "shard", "crop"]], on=KEY, validate="one_to_one")
    pixels = [read_array(path) for path in job.input.pixels]
    means = [pixels[shard][crop].mean(axis=0) for shard, crop in zip(places["shard"], places["crop"], strict=True)]
    maps = read_array(job.input.maps)
    figure = looks_at_figure(
        np.array(means).reshape(-1, *maps.shape[2:]),
        maps,
        read_array(job.input.areas),
        rows["grade"].to_numpy(np.int64),
        (read_array(job.input.images), read_table(job.input.strips, COUNTERFACTUALS)),
        settings,
    )
    save_figure(figure, job.output[0])
