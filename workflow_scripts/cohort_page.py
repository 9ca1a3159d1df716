"""The page of the cohort: what came in, how good the grades are, pictures of why; and texts for a paper."""

from pathlib import Path
from typing import Any

from vertegrade.drawn_tables import COUNTERFACTUALS, GRADE_HEIGHTS
from vertegrade.evaluation.comparison.tables import COMPARISON
from vertegrade.files import read_json, sha256_of, write_text
from vertegrade.methods import MAIN
from vertegrade.model_files import read_metadata
from vertegrade.report.applied import applied_run
from vertegrade.report.charts.section import charts_section
from vertegrade.report.cohort_page import Paper, Vertebrae, cohort_page
from vertegrade.report.crop_pictures import CropPictures, crops_of
from vertegrade.report.links import PatientLinks
from vertegrade.report.looks_at_text import looks_at_texts
from vertegrade.report.paper.claim import claim
from vertegrade.report.paper.methods_text import methods_markdown, methods_text
from vertegrade.report.paper.run import Run
from vertegrade.report.paper.tripod_ai import tripod_ai
from vertegrade.report.tiles import Graded, galleries, montage_tiles, strip_tiles
from vertegrade.settings.cohort import SplitSettings
from vertegrade.settings.dae import CounterfactualSettings, DaeModelSettings, DaeTrainSettings
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.settings.report import ReportSettings
from vertegrade.settings.spine import CropSettings, LocalizeSettings
from vertegrade.tables import GRADE_TABLE, LABELS, PREDICTIONS, SCANS, read_table, read_tables
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
    grading, shown = job.settings(GradingSettings), job.settings(ReportSettings)
    flow, summary, training = (read_json(job.input[name]) for name in ("flow", "summary", "training"))
    metrics = {numbers["method"]: numbers for numbers in map(read_json, job.input.metrics)}
    calibrators = {Path(path).parent.name: read_json(path)["chosen"] for path in job.input.calibrators}
    run = Run(
        about=job.params.about,
        splits=job.settings(SplitSettings),
        localize=job.settings(LocalizeSettings),
        crop=job.settings(CropSettings),
        model=job.settings(DaeModelSettings),
        train=job.settings(DaeTrainSettings),
        grading=grading,
        evaluation=job.settings(EvaluationSettings),
        flow=flow,
        metrics=metrics,
        training=training,
        localizer={Path(path).stem: read_metadata(Path(path)).get("facts", {}) for path in job.input.localizer},
        calibrators=calibrators,
        heights=read_json(job.input.heights)["about"],
        versions=job.params.versions,
        commit=summary["run"]["commit"],
    )
    facts = {
        "Code": run.commit or "not in a git checkout",
        "Settings": summary["run"]["settings_sha256"],
        "Jobs": f"{summary['run']['jobs']}, {summary['run']['wall_s']:.0f} s in all",
        "DAE training": f"{training['steps']:.0f} steps, {training['seconds']:.0f} s, {training['patients']} patients",
        "Heights of intact vertebrae": run.heights,
        "Calibrators": ", ".join(f"{method}: {chosen}" for method, chosen in calibrators.items()),
    }
    figures = {path.stem: path for path in sorted(Path(job.input.figures).glob("*.svg"))}
    figures |= {name: Path(job.input[name]) for name in ("counterfactuals", "rivals", "looks_at")}
    graded = Graded(
        {Path(path).stem: read_table(path, PREDICTIONS) for path in job.input.predictions},
        read_table(job.input.labels, LABELS),
        read_table(job.input.grades, GRADE_TABLE),
        PatientLinks(read_tables(job.input.scans, SCANS)),
        CropPictures(**crops_of(job.input), window=shown),
    )
    drawn = read_table(job.input.drawn, COUNTERFACTUALS)
    sections, references = methods_text(run)
    for path, text in (
        (job.output.methods, methods_markdown(sections, references)),
        (job.output.claim, claim(run)),
        (job.output.tripod_ai, tripod_ai(run)),
    ):
        write_text(path, text)
    names = {"methods": "methods", "claim": "CLAIM 2024 checklist", "tripod_ai": "TRIPOD+AI checklist"}
    calibrator = next(path for path in job.input.calibrators if Path(path).parent.name == MAIN)
    page = cohort_page(
        metrics,
        flow,
        figures,
        facts,
        differences=[read_json(path) for path in job.input.differences],
        phantom=run.phantom,
        cost=summary["cost"],
        applied=[
            applied(path, set(job.input.applied), calibrator)
            for path in job.input.applied
            if path.endswith("/grades.csv")
        ],
        counterfactuals=read_json(job.input.strips),
        rivals=read_json(job.input.told_apart),
        looked=looks_at_texts(read_json(job.input.looked), read_table(job.input.grade_heights, GRADE_HEIGHTS)),
        charts=charts_section(Path(job.input.charts)),
        comparison=read_table(job.input.comparison, COMPARISON),
        coverage=grading.coverage,
        vertebrae=Vertebrae(
            galleries(graded, grading.fracture_grade),
            montage_tiles(graded, shown.montage_crops),
            strip_tiles(drawn, graded, job.settings(CounterfactualSettings).shown),
        ),
        paper=Paper(sections, references, {Path(job.output[key]).name: name for key, name in names.items()}),
    )
    write_text(job.output.page, page)
