"""Write a shard's results as DICOM, FHIR, markups and label maps, for those who may know who the patients are."""

import csv
from pathlib import Path

from vertegrade.cohort.sheet import ScanRow
from vertegrade.export.about import maker_of
from vertegrade.export.scan import COLUMNS, Wanted, export_scan
from vertegrade.export.strips import read_strips
from vertegrade.files import new_folder, read_json
from vertegrade.progress import progress
from vertegrade.report.strips import within_window
from vertegrade.settings.ct import CtSettings
from vertegrade.settings.dae import DaeModelSettings
from vertegrade.settings.report import ReportSettings
from vertegrade.workflow.job import run_job
from vertegrade.workflow.manifest import manifest_path

with run_job(snakemake) as job:
    method = job.params.method
    made = read_json(manifest_path(job.results, "grade", {"method": method}))["finished"]
    maker = maker_of(method, Path(job.input.hyperplane).parents[2].name, made)
    least = read_json(job.input.hyperplane)["fracture_grade"]
    wanted = Wanted(frozenset(job.params.write), least, job.settings(CtSettings))
    strips = read_strips(
        list(job.input.strips), within_window(job.settings(ReportSettings), job.settings(DaeModelSettings))
    )
    done = [["scan_id", "files", *COLUMNS]]
    with new_folder(job.output.folder) as folder:
        for row in progress([ScanRow(**values) for values in job.params.rows], job.log, "scans"):
            record = read_json(Path(job.input.patients, f"{row.patient_id}.json"))
            scan = next(scan for scan in record["scans"] if scan["scan_id"] == row.scan_id)
            volume = Path(job.input.volumes, f"{row.scan_id}_ct.nii.gz")
            picture = Path(job.input.pictures, f"{row.scan_id}.png")
            own = folder / row.scan_id
            missing = export_scan(row, scan, own, wanted, maker, volume, picture if picture.is_file() else None, strips)
            files = sorted(file.name for file in own.glob("*"))
            done.append([row.scan_id, " ".join(files), *missing])
            said = f"; no DICOM: {missing.dicom}" if missing.dicom else ""
            job.log.info("%s: %d files%s", row.scan_id, len(files), said)
            if missing.tags:
                job.log.warning("%s: %s", row.scan_id, missing.tags)
            if missing.error:
                job.log.error("%s: %s; please report it with the type of scan", row.scan_id, missing.error)
        with (folder / "scans.tsv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows(done)
