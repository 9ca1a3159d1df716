"""Turn the scans of a shard (DICOM folder, zip, NIfTI) into canonical volumes, or say why not."""

import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.shard import convert_shard
from vertegrade.files import new_folder
from vertegrade.progress import progress
from vertegrade.settings.ct import CtSettings
from vertegrade.tables import SCANS, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings = job.settings(CtSettings)
    states = []
    with new_folder(job.output.volumes) as folder:
        for state in convert_shard(
            progress([ScanRow(**plain) for plain in job.params.rows], job.log, "scans"), folder, settings
        ):
            states.append(state)
            job.log.info("%s: %s %s", state["scan_id"], state["state"], state["reason"])
    write_table(job.output.scans, pd.DataFrame(states), SCANS)
