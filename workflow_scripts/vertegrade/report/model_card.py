"""The card of a frozen model (Mitchell et al., Model cards for model reporting, FAT* 2019): as numbers and as Markdown.

Both say the same, and the same each time: no dates, no times, no paths.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import METHODS
from vertegrade.plotting import NOTICE

# What of `evaluate` the card tells, all of the test split.
FIGURES = {
    "auc": "ROC AUC, fractured or not",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "qwk": "Weighted kappa, grades 0-3",
    "mae": "Mean absolute error of the severity",
    "spearman_height_loss": "Spearman with height loss, among fractures",
    "interval_coverage": "Interval coverage",
}
COUNTS = ("patients", "vertebrae_labelled", "vertebrae_fractured")
SCANS = {"phantoms": "digital phantoms: spines drawn by a program, nobody was scanned", "people": "CT of patients"}
LABELS = {"phantoms": "the truth of the phantoms", "people": "grades that people gave (tables of labels)"}
LIMITS = {
    "phantoms": "It has never learned from an image of a patient. Figures on phantoms say that it works as made, not "
    "how good it is on patients: measure it on scans of your own before you rely on any grade.",
    "people": "Its figures are of patients like those that taught it. On other scanners, protocols and populations "
    "they may be worse: measure it on scans of your own before you rely on any grade.",
}
NOT_GIVEN = "none is given"
LONGEST = 20  # characters of a fact that the text tells: no hashes, no settings


def model_card(
    taught_by: Mapping[str, str],
    metrics: Mapping[str, Mapping[str, Any]],
    networks: Mapping[str, Mapping[str, str]],
    settings: Mapping[str, Any],
    own: Mapping[str, str],
) -> dict[str, Any]:
    """The card as plain values.

    taught_by: `frozen.Model.taught_by`. metrics: what `evaluate` returned, by method. networks: by file, what trained
    networks say of their training. settings: of the model. own: name, licence and about, "" where not given.
    """
    first = next(iter(metrics.values()))
    return {
        "notice": NOTICE,
        **own,
        "taught_by": dict(taught_by),
        "cohort": {
            split: {name: first["splits"][split]["counts"][name] for name in COUNTS}
            for split in ("train", "validation", "test")
        },
        "fracture_grade": first["fracture_grade"],
        "confidence": first["confidence"],
        "coverage": settings["grading.coverage"],
        "localize": settings["localize.method"],
        "networks": {name: dict(facts) for name, facts in networks.items()},
        "test": {
            method: {name: block["splits"]["test"]["vertebra"][name] for name in FIGURES}
            for method, block in metrics.items()
        },
        "limits": LIMITS[taught_by["scans"]],
    }


def card_text(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    cohort, methods = card["cohort"], list(card["test"])
    counted = [[split, *(cohort[split][name] for name in COUNTS)] for split in ("train", "validation", "test")]
    figures = [
        [name, *(estimate_text(card["test"][method][key]) for method in methods)] for key, name in FIGURES.items()
    ]
    trained = [
        [f"`{name}`", ", ".join(f"{key} {value}" for key, value in facts.items() if len(value) < LONGEST)]
        for name, facts in card["networks"].items()
    ]
    return "\n".join(
        [
            f"# {card['name'] or 'A model without a name'}",
            "",
            f"**{card['notice']}.** A model of Vertegrade that grades vertebral fractures on CT by Genant's scale.",
            "",
            "## Who taught it",
            "",
            f"- Scans: {SCANS[card['taught_by']['scans']]}.",
            f"- Labels: {LABELS[card['taught_by']['labels']]}.",
            f"- Fractured is Genant grade {card['fracture_grade']} or more.",
            f"- Vertebrae were found by: {card['localize']}.",
            "",
            *_table(["split", "patients", "graded vertebrae", "of these fractured"], counted),
            "",
            *_table(["network", "its training"], trained),
            "",
            "## How good it is",
            "",
            f"Vertebrae of the test split of the same cohort ({card['taught_by']['scans']}), with "
            f"{100 * card['confidence']:g} % intervals by bootstrap over patients. Intervals of grades are made to "
            f"contain the grade of {100 * card['coverage']:g} % of vertebrae.",
            "",
            *_table(["figure", *(METHODS[method].label for method in methods)], figures),
            "",
            "## Limits",
            "",
            card["limits"],
            "",
            "## Licence",
            "",
            card["licence"] or f"Licence: {NOT_GIVEN}.",
            "",
            "## Data, licences and citations",
            "",
            card["about"].strip() or f"Text about the data: {NOT_GIVEN} (setting `freeze.about`).",
            "",
        ]
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [f"| {' | '.join(map(str, row))} |" for row in (heads, ["---"] * len(heads), *rows)]
    return lines
