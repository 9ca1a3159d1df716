"""The methods of a run in words, ready to be edited into a paper: from its settings and counts, with references.

Nothing is cited that the run did not use. Phantoms are called phantoms.
"""

from collections.abc import Mapping, Sequence

from vertegrade.levels import NAMES
from vertegrade.plotting import NOTICE
from vertegrade.report.paper.references import cite, numbered
from vertegrade.report.paper.run import Run
from vertegrade.report.paper.systems import system_paragraphs
from vertegrade.report.plain_words import joined, plural

Section = tuple[str, list[str]]
TITLE = "Methods of this run"
# As the text names the ways of localize.method.
FOUND_BY = {
    "provided": "Vertebrae were found by landmarks or masks that came with the scans.",
    "totalsegmentator": "Vertebrae were found by TotalSegmentator; six points per vertebra were measured on its masks.",
    "spineps": "Vertebrae were found by SPINEPS; six points per vertebra were measured on its masks.",
}
CALIBRATORS = {
    "linear": "linear regression on the distance",
    "isotonic": "isotonic regression on the distance",
    "ordinal_distance": "ordinal logistic regression on the distance",
    "ordinal_z": "ordinal logistic regression on the whitened latent",
}


def methods_text(run: Run) -> tuple[list[Section], list[str]]:
    """Sections (title and paragraphs) and the numbered references."""
    sections = [
        ("Data and reference standard", _data(run)),
        ("Vertebrae and crops", _crops(run)),
        ("Grading systems", system_paragraphs(run)),
        ("From latents to grades", _grading(run)),
        ("Evaluation", _evaluation(run)),
        ("Software", _software(run)),
    ]
    return numbered(sections)


def methods_markdown(sections: Sequence[Section], references: Sequence[str]) -> str:
    """The text as Markdown."""
    lines = [f"# {TITLE}", "", f"{NOTICE}. A draft from the settings and counts of this run.", ""]
    for title, paragraphs in sections:
        lines += [f"## {title}", ""]
        for paragraph in paragraphs:
            lines += [paragraph, ""]
    lines += ["## References", "", *(f"{n}. {text}" for n, text in enumerate(references, 1)), ""]
    return "\n".join(lines)


def _data(run: Run) -> list[str]:
    everyone, scans = run.flow["all"], run.flow["all"]["scans"]
    who = (
        f"The cohort consisted of {scans['in_sheet']} CT scans of {everyone['patients']} digital phantoms: spines that "
        "were drawn by a program. Nobody was scanned; below, patient means phantom."
        if run.phantom
        else f"The cohort consisted of {scans['in_sheet']} CT scans of {everyone['patients']} patients."
    )
    truth = (
        "The reference standard was the phantoms' own Genant grade, which follows from the loss of height that was "
        "drawn"
        if run.phantom
        else "The reference standard was the Genant grade of each vertebra as readers had given it"
    )
    taught = {
        "virtual": " Grades were learned from virtual fractures, which a program made in scans without labels, and "
        "evaluated against the reference standard.",
    }.get(str(run.about["labels"]), "")
    return [
        f"{who} {run.left_out()}, each with a recorded reason (flow diagram). {run.whom.capitalize()}, not scans or "
        f"vertebrae, were divided: {run.counts()}. Splits that came with the data were kept; all other {run.whom} were "
        f"divided by a keyed hash of their id, {100 * run.splits.train:g} % for training and "
        f"{100 * run.splits.validation:g} % for validation. Splits do not depend on grades.",
        f"{truth} (0 none, 1 mild, 2 moderate, 3 severe) {cite('genant')}. A grade of {run.grading.fracture_grade} or "
        f"more was a fracture. In the test split {run.test['counts']['vertebrae_fractured']} of "
        f"{run.test['counts']['vertebrae_labelled']} labelled vertebrae were fractured.{taught}",
    ]


def _crops(run: Run) -> list[str]:
    levels = f"{NAMES[run.localize.first_vertebra]} to {NAMES[run.localize.last_vertebra]}"
    learned = (
        "Vertebrae were found by three small networks: one for the centreline, one for centres, levels and six points "
        f"in the straightened image, and one that refines the points {cite('zakharov', 'pisov')}. "
        f"{localizer_taught(run.localizer)} A vertebra was graded if its probability was "
        f"{run.localize.min_confidence:g} or more and the scan did not cut it."
        if run.localize.method == "learned"
        else FOUND_BY[run.localize.method]
    )
    crop = run.crop
    return [
        f"{learned} Levels {levels} were graded; they are named as in VerSe {cite('verse')}.",
        f"Each vertebra was resampled into a straightened crop of {crop.slices} parasagittal slices, "
        f"{crop.slice_spacing_mm:g} mm apart, with {crop.size} x {crop.size} pixels of {crop.pixel_mm:g} mm, in a "
        "rotation-minimising frame along the centreline whose columns lie in the sagittal plane at the vertebra's "
        "centre.",
    ]


def localizer_taught(facts: Mapping[str, Mapping[str, str]]) -> str:
    """What the networks learned from, by what their weights state.

    facts: of each file of weights, centreline (the first network) and vertebrae (the others).
    """
    first, others = (_scans(facts.get(name, {})) for name in ("centreline", "vertebrae"))
    if not first or not others:
        return "Their weights do not say what they were trained on."
    if first == others:
        return f"They were trained on {first}."
    return f"The first was trained on {first}, the others on {others}."


def _scans(facts: Mapping[str, str]) -> str:
    """Scans that weights were trained on, in words; "" where they do not say."""
    if "phantom_scans" not in facts or "own_scans" not in facts:
        return ""
    drawn, own = (int(facts[name]) for name in ("phantom_scans", "own_scans"))
    if not own:
        return "phantoms alone"
    annotated = f"{plural(own, 'annotated scan')} of a training split"
    return f"{plural(drawn, 'phantom')} and {annotated}" if drawn else annotated


def _grading(run: Run) -> list[str]:
    chosen = [
        f"{CALIBRATORS[kind]} for {label}"
        for label, kind in zip(run.labels, map(run.calibrators.get, run.methods), strict=True)
        if kind is not None
    ]
    fixed = ["training patients out of fold"] if chosen else []
    fixed += ["validation patients (methods that are trained on grades)"] if len(chosen) < len(run.labels) else []
    fixed_on, paragraphs = joined(fixed), []
    if chosen:
        svm = run.grading.classifier == "svm"
        ordinal = cite("mccullagh") if any(kind.startswith("ordinal") for kind in run.calibrators.values()) else ""
        paragraphs.append(
            f"Latents were whitened by a shrunk covariance {cite('ledoit')}. "
            f"{'A linear support vector machine' if svm else 'Logistic regression'} with an L2 penalty separated "
            f"fractured from intact training vertebrae; its penalty was set by cross-validation in {run.grading.folds} "
            "folds of patients. The signed distance or the latent was mapped to Genant grades, and "
            + (
                "the calibrator with the best cross-validated score was used"
                if run.grading.calibration == "auto"
                else "the calibrator was fixed in advance"
            )
            + f": {joined(chosen)}{f' {ordinal}' if ordinal else ''}."
        )
    paragraphs += [
        "The severity is a continuous Genant grade from 0 to 3; the grade is the rounded severity. Limits between "
        f"grades were fixed on {fixed_on}. The probability of fracture was calibrated separately, and no threshold was "
        "applied to it. A patient was called fractured by a limit of its own, fixed on the same patients.",
        f"Intervals are conformal within each true grade {cite('vovk')}, with the same weight for each patient "
        f"{cite('dunn')}, and are made to contain the true grade of {100 * run.grading.coverage:g} % of new vertebrae.",
        "Novelty compares each vertebra with those of training by the Mahalanobis distance of its latent "
        f"{cite('lee')} and by the appearance of its image; from the 99th percentile of validation vertebrae on it was "
        "flagged.",
    ]
    return paragraphs


def _evaluation(run: Run) -> list[str]:
    bands = ", ".join(f"{edge:g}" for edge in run.evaluation.thickness_bands_mm)
    return [
        "All figures are of the test split, which chose nothing. Detection was measured by the area under the ROC "
        "curve of the severity, by average precision, sensitivity and specificity; grading by macro-F1, "
        f"quadratic-weighted kappa {cite('cohen')} and mean absolute error; calibration by slope {cite('cox')}, "
        f"calibration in the large {cite('calster')}, Brier score and, of patients, expected calibration error "
        f"{cite('naeini')}.",
        f"Intervals ({100 * run.evaluation.confidence:g} %) are percentiles of {run.evaluation.bootstrap_resamples} "
        "bootstrap resamples of patients, each drawn with all of their vertebrae. A figure needs "
        f"{run.evaluation.minimum_cases} cases of each class. Methods were compared on the vertebrae that all of them "
        "graded, by paired differences over the same resamples; differences were not corrected for their number. "
        "Labelled vertebrae without a grade were counted and reported apart.",
        "Figures were also given by shape of the fracture, region and level of the spine, sex, age band, maker of the "
        f"scanner, reconstruction kernel and slice thickness (limits {bands} mm), where these were known.",
    ]


def _software(run: Run) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    torch = f" Networks were computed by PyTorch {cite('torch')}." if "torch" in run.versions else ""
    return [
        f"Everything was run by Vertegrade ({f'commit {run.commit}' if run.commit else 'commit not known'}), a "
        f"Snakemake workflow {cite('snakemake')}, with the seed {run.about['seed']}.{torch} Packages: {versions}. "
        "Hashes of all inputs and outputs, settings and code of each job are in the manifests of the run.",
    ]
