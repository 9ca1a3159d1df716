"""Turn the scans of a shard (DICOM folder, zip, NIfTI) into canonical volumes, or say why not."""

import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.convert import convert_scan
from vertegrade.files import new_folder
from vertegrade.settings.ct import CtSettings
from vertegrade.stage import run_stage
from vertegrade.tables import SCANS

with run_stage(snakemake) as job:
    settings = job.settings(CtSettings)
    states = []
    with new_folder(job.output.volumes) as folder:
        for plain in job.params.rows:
            row = ScanRow(**plain)
            states.append(convert_scan(row, folder, settings))
            job.log.info("%s: %s %s", row.scan_id, states[-1]["state"], states[-1]["reason"])
    job.write_table(job.output.scans, pd.DataFrame(states), SCANS)
