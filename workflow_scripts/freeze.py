"""Put what grades other scans into one folder: localizer, weights, graders, settings, hashes and a model card."""

from dataclasses import replace
from pathlib import Path

from vertegrade.files import new_folder, read_json
from vertegrade.frozen import LOCALIZER, freeze, read_model
from vertegrade.methods import INTACT_HEIGHTS, MAIN
from vertegrade.model_files import read_metadata
from vertegrade.report.model_card import card_text, model_card
from vertegrade.settings.freeze import FreezeSettings
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job, new_folder(job.output[0]) as folder:
    settings = job.settings(FreezeSettings)
    model = read_model(job.results)
    if settings.scans:
        model = replace(model, taught_by=model.taught_by | {"scans": settings.scans})
    files = {str(Path(path).relative_to(job.results)): Path(path) for path in job.input.files}
    files |= {f"{LOCALIZER}/{Path(path).name}": Path(path) for path in [*job.input.networks, job.input.sight]}
    facts = {name: read_metadata(path).get("facts", {}) for name, path in files.items() if path.suffix != ".json"}
    about = Path(job.input.about).read_text(encoding="utf-8") if job.input.about else ""
    own = {"name": settings.name, "licence": settings.licence, "about": about}
    fitted = read_json(files[f"grading/{MAIN}/hyperplane.json"])
    metrics = {block["method"]: block for block in map(read_json, job.input.metrics)}
    heights = read_json(files[INTACT_HEIGHTS])["about"]
    card = model_card(model.taught_by, fitted, metrics, facts, model.values, own, heights)
    freeze(model, files, card, card_text(card), folder)
    job.log.info("%.1f MB in %d files", sum(path.stat().st_size for path in files.values()) / 1e6, len(files) + 3)
