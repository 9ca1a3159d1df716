"""A record per patient as JSON, tables of all vertebrae and curves, and a description of the results."""

from pathlib import Path

from vertegrade.files import new_folder, write_json
from vertegrade.records.description import dataset_description
from vertegrade.records.patient import Tables, patient_records
from vertegrade.records.vertebrae import curve_table, vertebra_table
from vertegrade.tables import (
    CURVE_TABLE,
    GRADE_TABLE,
    LANDMARKS,
    MEASUREMENTS,
    PREDICTIONS,
    SCANS,
    SPINE_CURVES,
    SPINE_MEASURES,
    VERTEBRA_TABLE,
    read_table,
    read_tables,
    write_table,
)
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    tables = Tables(
        scans=read_tables(job.input.scans, SCANS),
        landmarks=read_tables(job.input.landmarks, LANDMARKS),
        measurements=read_tables(job.input.measurements, MEASUREMENTS),
        bodies=read_tables(job.input.bodies, SPINE_MEASURES),
        curves=read_tables(job.input.curves, SPINE_CURVES),
        grades=read_table(job.input.grades, GRADE_TABLE),
        predictions={Path(path).stem: read_table(path, PREDICTIONS) for path in job.input.predictions},
    )
    records = patient_records(tables)
    with new_folder(job.output.patients) as folder:
        for name, record in records.items():
            write_json(folder / f"{name}.json", record, sort_keys=False)
    write_table(job.output.vertebrae, vertebra_table(records), VERTEBRA_TABLE)
    write_table(job.output.curves, curve_table(records), CURVE_TABLE)
    write_json(job.output.description, dataset_description(len(records), **job.params.about), sort_keys=False)
    job.log.info("%d patients", len(records))
