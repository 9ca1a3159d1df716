"""Make the patients with PHANTOM lesions of a shard, in the layout of the public data set, and the truth of them."""

from contextlib import ExitStack

import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.files import new_folder
from vertegrade.metastasis.classes import PHANTOM_NOTICE, SPINE_METS
from vertegrade.metastasis.layout.clinical import write_clinical
from vertegrade.metastasis.phantoms.clinical import clinical_row
from vertegrade.metastasis.phantoms.scan import make_lesion_scan
from vertegrade.metastasis.roster import CLINICAL
from vertegrade.metastasis.tables import LESION_TRUTH
from vertegrade.progress import progress
from vertegrade.settings.metastasis import LesionPhantomSettings
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.tables import write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job, ExitStack() as stack:
    lesions, phantom = job.settings(LesionPhantomSettings), job.settings(PhantomSettings)
    folder = stack.enter_context(new_folder(job.output.cases))
    codes = stack.enter_context(new_folder(job.output.codes))
    truth = []
    for row in progress([ScanRow(**plain) for plain in job.params.rows], job.log, "scans"):
        case = folder / SPINE_METS / row.patient_id
        truth.append(make_lesion_scan(row, lesions, phantom, job.seed, case, codes / f"{row.scan_id}.nii.gz"))
        job.log.info("%s: %d vertebrae", row.scan_id, len(truth[-1]))
    write_clinical(folder / CLINICAL, [clinical_row(table) for table in truth], PHANTOM_NOTICE)
    write_table(job.output.truth, pd.concat(truth), LESION_TRUTH)
