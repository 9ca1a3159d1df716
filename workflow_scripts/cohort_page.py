"""The page of the cohort: what came in, what was left out, how good the grades are, and pictures of why."""

from pathlib import Path
from typing import Any

from vertegrade.drawn_tables import GRADE_HEIGHTS
from vertegrade.files import read_json, sha256_of, write_text
from vertegrade.methods import MAIN
from vertegrade.report.applied import applied_run
from vertegrade.report.charts.section import charts_section
from vertegrade.report.cohort_page import cohort_page
from vertegrade.report.looks_at_text import looks_at_texts
from vertegrade.tables import GRADE_TABLE, read_table
from vertegrade.workflow.job import run_job


def applied(grades: str, files: set[str], calibrator: str) -> dict[str, Any]:
    """What the page tells of a run whose grades these are. files: all inputs of other runs."""
    folder = Path(grades).parent
    inputs = read_json(folder / "manifest/grade" / f"{MAIN}.json")["inputs"]
    its = next(digest for path, digest in inputs.items() if path.endswith(f"grading/{MAIN}/calibrator.json"))
    challenge = f"{folder}/virtual/challenge.json"
    return applied_run(
        folder.name,
        read_table(grades, GRADE_TABLE),
        read_json(challenge) if challenge in files else None,
        its == sha256_of(calibrator),
    )


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
        "Heights of intact vertebrae": read_json(job.input.heights)["about"],
        "Calibrators": ", ".join(f"{method}: {numbers['chosen']}" for method, numbers in calibrations.items()),
    }
    figures = {path.stem: path for path in sorted(Path(job.input.figures).glob("*.svg"))}
    figures |= {name: Path(job.input[name]) for name in ("montage", "counterfactuals", "rivals", "looks_at")}
    metrics = {numbers["method"]: numbers for numbers in map(read_json, job.input.metrics)}
    differences = [read_json(path) for path in job.input.differences]
    calibrator = next(path for path in job.input.calibrators if Path(path).parent.name == MAIN)
    more = {
        "phantom": job.params.phantom,
        "cost": summary["cost"],
        "counterfactuals": read_json(job.input.strips),
        "rivals": read_json(job.input.told_apart),
        "looked": looks_at_texts(read_json(job.input.looked), read_table(job.input.grade_heights, GRADE_HEIGHTS)),
        "charts": charts_section(Path(job.input.charts)),
        "applied": [
            applied(path, set(job.input.applied), calibrator)
            for path in job.input.applied
            if path.endswith("/grades.csv")
        ],
    }
    write_text(job.output[0], cohort_page(metrics, flow, figures, facts, differences, **more))
