"""The page of the cohort: what came in, what was left out, how good the grades are, and pictures of why."""

from pathlib import Path

from vertegrade.files import read_json, write_text
from vertegrade.report.cohort_page import cohort_page
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    flow = read_json(job.input.flow)
    summary = read_json(job.input.summary)
    run = summary["run"]
    training = read_json(job.input.training)
    calibrations = {Path(path).parent.name: read_json(path) for path in job.input.calibrators}
    facts = {
        "Code": run["commit"] or "not in a git checkout",
        "Settings": run["settings_sha256"],
        "Jobs": f"{run['jobs']}, {run['wall_s']:.0f} s in all",
        "DAE training": f"{training['steps']:.0f} steps, {training['seconds']:.0f} s, {training['patients']} patients",
        "Calibrators": ", ".join(f"{method}: {numbers['chosen']}" for method, numbers in calibrations.items()),
    }
    figures = {path.stem: path for path in sorted(Path(job.input.figures).glob("*.svg"))}
    figures |= {name: Path(job.input[name]) for name in ("montage", "counterfactuals")}
    metrics = {numbers["method"]: numbers for numbers in map(read_json, job.input.metrics)}
    differences = [read_json(path) for path in job.input.differences]
    more = {"phantom": job.params.phantom, "cost": summary["cost"]}
    write_text(job.output[0], cohort_page(metrics, flow, figures, facts, differences, **more))
