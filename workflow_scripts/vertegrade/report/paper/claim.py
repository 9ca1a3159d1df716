"""CLAIM, 2024 update: 44 items for papers on artificial intelligence in medical imaging."""

from vertegrade.report.paper.answers import answers
from vertegrade.report.paper.checklist import Answer, Item, checklist_markdown
from vertegrade.report.paper.run import Run

TITLE = "CLAIM 2024 checklist"
SOURCE = (
    "Tejani AS, Klontzas ME, Gatti AA, et al. Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 "
    "update. Radiol Artif Intell 2024;6:e240300."
)
# Part, first number, topics, each with the name of its answer ("" where only the authors know).
PARTS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Title and abstract",
        (("Title or abstract names the kind of AI", "kind"), ("Abstract: design, methods, results, conclusions", "")),
    ),
    ("Introduction", (("Background, intended use and role of the AI", ""), ("Aims and hypotheses", ""))),
    ("Study design", (("Prospective or retrospective", ""), ("Goal of the study", "goal"))),
    (
        "Data",
        (
            ("Where the data come from", "sources"),
            ("Who was included and excluded", "eligibility"),
            ("Preprocessing", "preprocessing"),
            ("How subsets of the data were chosen", ""),
            ("De-identification", "privacy"),
            ("How missing data were handled", "missing"),
            ("Acquisition protocol", "acquisition"),
        ),
    ),
    (
        "Reference standard",
        (
            ("How the reference standard was obtained", "truth"),
            ("Why this reference standard", ""),
            ("Who annotated", "assessors"),
            ("How the test set was annotated", ""),
            ("Variability between and within annotators", ""),
        ),
    ),
    (
        "Partitions",
        (("How data were assigned to partitions", "partitions"), ("At what level they are disjoint", "disjoint")),
    ),
    ("Testing data", (("Intended sample size", ""),)),
    ("Model", (("Description of the model", "model"), ("Software", "software"), ("Initial parameters", "initial"))),
    (
        "Training",
        (("Training", "training"), ("How the final model was chosen", "chosen"), ("Ensembles", "ensemble")),
    ),
    (
        "Evaluation",
        (
            ("Metrics", "metrics"),
            ("Uncertainty and significance", "uncertainty"),
            ("Robustness", "robust"),
            ("Explanations", "explained"),
            ("Test on internal data", "internal"),
            ("Test on external data", ""),
            ("Registration of a trial", ""),
        ),
    ),
    (
        "Results",
        (
            ("Numbers included and excluded", "flow"),
            ("Demographic and clinical characteristics by partition", "described"),
            ("Performance with uncertainty, by partition", "performance"),
            ("Diagnostic performance and its precision", "patients"),
            ("Analysis of failures", "failures"),
        ),
    ),
    ("Discussion", (("Limitations", "limits"), ("Implications for practice", "use"))),
    (
        "Other",
        (
            ("Protocol or technical details", "details"),
            ("Availability of code, model, data", "available"),
            ("Funding", ""),
        ),
    ),
)
_NAMED = [(part, topic, name) for part, topics in PARTS for topic, name in topics]
ITEMS = [Item(str(number), part, topic) for number, (part, topic, _) in enumerate(_NAMED, 1)]


def claim(run: Run) -> str:
    """The checklist of a run as Markdown."""
    known = answers(run)
    given: dict[str, Answer] = {
        item.number: known[name] for item, (_, _, name) in zip(ITEMS, _NAMED, strict=True) if name
    }
    return checklist_markdown(TITLE, SOURCE, ITEMS, given, run.phantom)
