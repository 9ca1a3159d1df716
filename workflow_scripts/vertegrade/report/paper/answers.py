"""What a run knows of the items of both checklists: each answer is written once, and both name it."""

from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import METHODS
from vertegrade.report.paper.checklist import AUTHORS, Answer
from vertegrade.report.paper.run import SPLITS, Run
from vertegrade.report.plain_words import joined

TEXT, PAGE = "report/methods.md", "report/cohort.html"


def answers(run: Run) -> dict[str, Answer]:
    """Answers by a name of our own."""
    return {**_study(run), **_model(run), **_results(run)}


def _study(run: Run) -> dict[str, Answer]:
    scans = run.flow["all"]["scans"]
    source = (
        "digital phantoms drawn by the workflow" if run.phantom else f"CT scans of the sample sheet; {AUTHORS}: source"
    )
    truth = "grade of the drawn loss of height (no reader)" if run.phantom else "Genant grades of the label table"
    assessors = "none: the truth of phantoms is known" if run.phantom else AUTHORS
    return {
        "kind": Answer(
            f"vertebral fractures graded on CT by {joined(run.labels)} (deep learning and simple baselines)", TEXT
        ),
        "goal": Answer("development and internal test of grading systems on one cohort", TEXT),
        "sources": Answer(f"{source}; {scans['in_sheet']} scans of {run.flow['all']['patients']} {run.whom}", TEXT),
        "eligibility": Answer(
            f"scans that cannot be used are left out by named reasons; {run.left_out()}; {AUTHORS}: who was eligible",
            "report/flow.svg, docs/reference/inputs.md",
        ),
        "preprocessing": Answer(
            f"HU volumes in one orientation; crops of {run.crop.slices} x {run.crop.size} x {run.crop.size} at "
            f"{run.crop.pixel_mm:g} mm along the centreline; window {run.model.hu_low:g} to {run.model.hu_high:g} HU "
            "for the DAE",
            TEXT,
        ),
        "predictors": Answer(
            "the CT alone: crops of vertebrae, and heights between six points; no age, sex or clinical data", TEXT
        ),
        "privacy": Answer(
            "no UID, date, name or description of a header reaches an output; sex and age only as the sheet gives "
            "them, age as a band of ten years",
            "docs/reference/inputs.md",
        ),
        "missing": Answer(
            "nothing is imputed: vertebrae without a grade are counted with their reasons, groups without a fact are "
            "not known",
            f"{PAGE}: scans left out",
        ),
        "acquisition": Answer(
            f"makers, kernels and slice thickness of the scans as groups; {AUTHORS}: protocol", f"{PAGE}: groups"
        ),
        "truth": Answer(f"{truth}; fracture from grade {run.grading.fracture_grade} on", TEXT),
        "assessors": Answer(assessors, TEXT if run.phantom else ""),
        "partitions": Answer(
            f"given splits first, else a keyed hash of the patient: {run.counts()}", "cohort/splits.tsv"
        ),
        "disjoint": Answer("by patient: all scans of a patient are in one split", "cohort/splits.tsv"),
    }


def _model(run: Run) -> dict[str, Answer]:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    calibrated = [f"{METHODS[name].label}: {kind}" for name, kind in run.calibrators.items()]
    return {
        "model": Answer(f"{joined(run.labels)}, each with its settings; calibrators {', '.join(calibrated)}", TEXT),
        "software": Answer(f"Vertegrade {run.commit or '(commit not known)'}; {versions}", f"{TEXT}, manifest/"),
        "initial": Answer(f"random, from the seed {run.about['seed']}; no weights from elsewhere for the DAE", TEXT),
        "training": Answer(
            f"{run.training['steps']:.0f} steps of {run.train.batch_size} crops of {run.training['patients']} "
            f"{run.whom}, {run.train.optimiser}, learning rate {run.train.learning_rate:g}",
            f"{TEXT}, dae/training.json",
        ),
        "chosen": Answer(
            f"last averaged weights of the DAE; calibrators by {run.grading.folds}-fold cross-validation over patients "
            "of the training split; never by the test split",
            f"{TEXT}, grading/",
        ),
        "ensemble": Answer(
            "none" if not {"fusion", "seq2seq"} & set(run.methods) else "fusion of latents or average of networks", TEXT
        ),
        "output": Answer(
            "severity 0 to 3, grade (rounded severity), probability of fracture and of each grade, interval, novelty; "
            "limits fixed without the test split",
            "docs/design/grading.md",
        ),
        "calculated": Answer(
            "tables of predictions; the same model grades other scans by run.model", "predictions/, docs/how-to/"
        ),
        "metrics": Answer("ROC AUC, sensitivity, specificity, macro-F1, weighted kappa, calibration, coverage", TEXT),
        "uncertainty": Answer(
            f"{100 * run.evaluation.confidence:g} % intervals, {run.evaluation.bootstrap_resamples} bootstrap "
            "resamples of patients; paired differences of methods",
            TEXT,
        ),
        "robust": Answer(
            "figures by region, level, shape, slice thickness, maker, kernel, sex and age", f"{PAGE}: groups"
        ),
        "explained": Answer(
            "pictures at other grades (SYNTHETIC), maps of where the severity comes from", f"{PAGE}: pictures"
        ),
    }


def _results(run: Run) -> dict[str, Answer]:
    counts = run.test["counts"]
    figures = [
        f"{METHODS[name].label} ROC AUC {estimate_text(block['splits']['test']['vertebra']['auc'], 3)}"
        for name, block in run.metrics.items()
    ]
    cases = [
        f"{name}: {block['counts']['vertebrae_fractured']} of {block['counts']['vertebrae_labelled']} labelled "
        "vertebrae fractured"
        for split, name in SPLITS.items()
        for block in [run.metrics[run.methods[0]]["splits"][split]]
    ]
    people = [
        f"{METHODS[name].label} {estimate_text(block['splits']['test']['patient']['auc'], 3)}"
        for name, block in run.metrics.items()
    ]
    return {
        "internal": Answer(f"test split of the same cohort: {counts['patients']} {run.whom}", PAGE),
        "flow": Answer(
            f"{run.left_out()}; {counts['vertebrae_evaluated']} of {counts['vertebrae_labelled']} labelled test "
            "vertebrae graded",
            "report/flow.svg, report/flow.tsv",
        ),
        "described": Answer(f"{'; '.join(cases)}; sex and age where the sheet gives them", f"{PAGE}: groups"),
        "performance": Answer("; ".join(figures), f"{PAGE}: results, evaluation/"),
        "patients": Answer(f"ROC AUC of patients: {'; '.join(people)}", f"{PAGE}: results, evaluation/"),
        "failures": Answer("confusion matrices; missed fractures and false alarms with pictures", f"{PAGE}: errors"),
        "limits": Answer(f"listed; {AUTHORS}: those of the study", f"{PAGE}: limits"),
        "use": Answer("research use only, not a medical device", PAGE),
        "details": Answer("settings, code and hashes of every job", "manifest/, config.yaml"),
        "available": Answer(
            f"code: Vertegrade, Apache-2.0; model: `snakemake freeze`; {AUTHORS}: data", "docs/how-to/frozen-model.md"
        ),
        "quality": Answer(
            "scans and vertebrae with a doubt are flagged, such as unlike training; what cannot be read is left out "
            "with a reason",
            "docs/reference/inputs.md",
        ),
        "users": Answer("none needed for a run; landmarks can be corrected by hand", "docs/how-to/corrections.md"),
    }
