"""TRIPOD+AI, 2024: 27 items with their parts, for papers on prediction models by regression or machine learning."""

from vertegrade.report.paper.answers import answers
from vertegrade.report.paper.checklist import Item, checklist_markdown
from vertegrade.report.paper.run import Run

TITLE = "TRIPOD+AI checklist"
SOURCE = (
    "Collins GS, Moons KGM, Dhiman P, et al. TRIPOD+AI statement: updated guidance for reporting clinical prediction "
    "models that use regression or machine learning methods. BMJ 2024;385:e078378."
)
# Number, part, topic, name of the answer ("" where only the authors know).
ROWS: tuple[tuple[str, str, str, str], ...] = (
    ("1", "Title and abstract", "Title: model, population, outcome", "kind"),
    ("2", "Title and abstract", "Abstract (its own list of items)", ""),
    ("3a", "Introduction", "Healthcare context and existing models", ""),
    ("3b", "Introduction", "Target population, purpose and users", "use"),
    ("3c", "Introduction", "Known inequalities between groups", ""),
    ("4", "Introduction", "Objectives: development, evaluation or both", "goal"),
    ("5a", "Methods", "Sources of data, and whom they represent", "sources"),
    ("5b", "Methods", "Dates of the data", ""),
    ("6a", "Methods", "Setting and centres", ""),
    ("6b", "Methods", "Eligibility", "eligibility"),
    ("6c", "Methods", "Treatments", ""),
    ("7", "Methods", "Preparation and checks of the data", "preprocessing"),
    ("8a", "Methods", "Outcome and how it was assessed", "truth"),
    ("8b", "Methods", "Who assessed the outcome", "assessors"),
    ("8c", "Methods", "Blinding of the outcome", ""),
    ("9a", "Methods", "Choice of predictors", "predictors"),
    ("9b", "Methods", "Definition of predictors", "predictors"),
    ("9c", "Methods", "Who assessed predictors", ""),
    ("10", "Methods", "Sample size", ""),
    ("11", "Methods", "Missing data", "missing"),
    ("12a", "Methods", "How the data were used and divided", "partitions"),
    ("12b", "Methods", "How predictors were handled", "preprocessing"),
    ("12c", "Methods", "Type of model, steps, tuning, internal validation", "training"),
    ("12d", "Methods", "Heterogeneity between clusters", "robust"),
    ("12e", "Methods", "Measures of performance and comparison of models", "metrics"),
    ("12f", "Methods", "Updating of the model", ""),
    ("12g", "Methods", "How predictions were calculated", "calculated"),
    ("13", "Methods", "Class imbalance", ""),
    ("14", "Methods", "Fairness", "robust"),
    ("15", "Methods", "Output of the model, limits and why", "output"),
    ("16", "Methods", "Differences between development and evaluation data", "internal"),
    ("17", "Methods", "Ethical approval and consent", ""),
    ("18a", "Open science", "Funding", ""),
    ("18b", "Open science", "Conflicts of interest", ""),
    ("18c", "Open science", "Protocol", ""),
    ("18d", "Open science", "Registration", ""),
    ("18e", "Open science", "Data", ""),
    ("18f", "Open science", "Code", "software"),
    ("19", "Patient and public involvement", "Involvement of patients and public", ""),
    ("20a", "Results", "Flow of participants", "flow"),
    ("20b", "Results", "Characteristics of participants", "described"),
    ("20c", "Results", "Comparison with the development data", "described"),
    ("21", "Results", "Participants and events in each analysis", "described"),
    ("22", "Results", "Full model, and how to get it", "available"),
    ("23a", "Results", "Performance with intervals, also of subgroups", "performance"),
    ("23b", "Results", "Heterogeneity of performance between clusters", "robust"),
    ("24", "Results", "Results of updating", ""),
    ("25", "Discussion", "Interpretation, with fairness", ""),
    ("26", "Discussion", "Limitations", "limits"),
    ("27a", "Discussion", "Poor or missing input when the model is used", "quality"),
    ("27b", "Discussion", "What users have to do and know", "users"),
    ("27c", "Discussion", "Next steps of research", ""),
)
ITEMS = [Item(number, part, topic) for number, part, topic, _ in ROWS]


def tripod_ai(run: Run) -> str:
    """The checklist of a run as Markdown."""
    known = answers(run)
    given = {number: known[name] for number, _, _, name in ROWS if name}
    return checklist_markdown(TITLE, SOURCE, ITEMS, given, run.phantom)
