"""The card of a frozen model (Mitchell et al., Model cards for model reporting, FAT* 2019): as numbers and as Markdown.

Both say the same, and the same each time: no dates, no times, no paths.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import BASELINES, METHODS
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
SCANS = {
    "phantoms": "digital phantoms: spines drawn by a program, nobody was scanned",
    "people": "CT of patients",
    "mixed": "digital phantoms (spines drawn by a program, nobody was scanned) and CT of patients",
}
LABELS = {
    "phantoms": "the truth of the phantoms",
    "people": "grades that people gave (tables of labels)",
    "virtual": "virtual fractures: vertebrae of its scans that a program collapsed, and shams beside them",
}
MEASURE = "Measure it on scans of your own before you rely on any grade."
PHANTOM_LIMIT = (
    "It has never learned from an image of a patient. Figures on phantoms say that it works as made, not how good it "
    "is on patients."
)
PEOPLE_LIMIT = (
    "Its figures are of patients like those that taught it. On other scanners, protocols and populations they may be "
    "worse."
)
MIXED_LIMIT = (
    "It learned from phantoms and from few patients. Its figures on the test split are of phantoms wherever only these "
    "had labels: they say that it works as made, not how good it is on patients."
)
VIRTUAL_LIMIT = "It has never learned from a real fracture: what it calls a fracture is what a program drew as one."
NOT_GIVEN = "none is given"
LONGEST = 20  # characters of a fact that the text tells: no hashes, no settings


def model_card(
    taught_by: Mapping[str, str],
    fitted: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, Any]],
    networks: Mapping[str, Mapping[str, str]],
    settings: Mapping[str, Any],
    own: Mapping[str, str],
    heights: str,
) -> dict[str, Any]:
    """The card as plain values.

    taught_by: `frozen.Model.taught_by`. fitted: numbers of the main method's hyperplane, with what it was fitted to.
    metrics: what `evaluate` returned, by method; empty where there were no labels to hold grades against. networks: by
    file, what trained networks say of their training. settings: of the model. own: name, licence and about, "" where
    not given. heights: where the heights that it expects of intact vertebrae come from.
    """
    return {
        "notice": NOTICE,
        **own,
        "taught_by": dict(taught_by),
        "training": {name: fitted[name] for name in ("patients", "vertebrae", "fractured")},
        "fracture_grade": settings["grading.fracture_grade"],
        "coverage": settings["grading.coverage"],
        "localize": settings["localize.method"],
        "heights": heights,
        "networks": {name: dict(facts) for name, facts in networks.items()},
        "test": {method: _tested(block) for method, block in metrics.items()},
        "limits": _limits(taught_by),
    }


def _tested(block: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a method on the test split, what they count, and the confidence of their intervals."""
    test = block["splits"]["test"]
    counts = {name: test["counts"][name] for name in ("patients", "vertebrae_evaluated", "vertebrae_fractured")}
    return {"confidence": block["confidence"], **counts} | {name: test["vertebra"][name] for name in FIGURES}


def _limits(taught_by: Mapping[str, str]) -> str:
    learned = {"phantoms": PHANTOM_LIMIT, "people": PEOPLE_LIMIT, "mixed": MIXED_LIMIT}[taught_by["scans"]]
    return " ".join([learned, *([VIRTUAL_LIMIT] if taught_by["labels"] == "virtual" else []), MEASURE])


def card_text(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    training = card["training"]
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
            f"- Its grades were fitted to {training['vertebrae']} vertebrae of {training['patients']} patients, "
            f"{training['fractured']} of them fractured (Genant grade {card['fracture_grade']} or more).",
            f"- Vertebrae were found by: {card['localize']}.",
            f"- Heights of intact vertebrae, which keypoints compares with: {card['heights']}.",
            "",
            *_table(["network", "its training"], trained),
            "",
            "## How good it is",
            "",
            *_test_lines(card),
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


def _test_lines(card: Mapping[str, Any]) -> list[str]:
    tests = card["test"]
    if not tests:
        return ["There were no labels of people to hold its grades against."]
    first = next(iter(tests.values()))
    rows = [[name, *(estimate_text(test[key]) for test in tests.values())] for key, name in FIGURES.items()]
    methods = [METHODS[name].label + " (baseline, not in this folder)" * (name in BASELINES) for name in tests]
    return [
        f"{first['vertebrae_evaluated']} vertebrae of {first['patients']} test patients of the same cohort, with "
        f"{100 * first['confidence']:g} % intervals by bootstrap over patients. Intervals of grades are made to "
        f"contain the grade of {100 * card['coverage']:g} % of vertebrae.",
        "",
        *_table(["figure", *methods], rows),
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (heads, ["---"] * len(heads), *rows)]
