"""Make the results folder a Workflow Run RO-Crate: metadata of the run, and a copy of the workflow."""

import importlib.metadata
import shutil

import yaml

from vertegrade.files import new_folder, write_json
from vertegrade.workflow.code_hash import SCRIPTS
from vertegrade.workflow.crate import crate
from vertegrade.workflow.job import run_job
from vertegrade.workflow.manifest import read_manifests

with run_job(snakemake) as job:
    root = SCRIPTS.parent
    with new_folder(job.output.workflow) as folder:
        for name in ("rules", "workflow_scripts", "envs", "report"):
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Snakefile", "LICENSE"):
            shutil.copyfile(root / name, folder / name)
        config = yaml.safe_dump(job.config, sort_keys=False, allow_unicode=True)
        (folder / "config.yaml").write_text(config, encoding="utf-8")
        files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    manifests = [manifest for manifest in read_manifests(job.results) if manifest.rule != job.rule]
    metadata = crate(manifests, job.results, files, importlib.metadata.version("snakemake"))
    write_json(job.output.metadata, metadata)
    job.log.info("%d entities", len(metadata["@graph"]))
