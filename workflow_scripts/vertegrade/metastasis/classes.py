"""What is asked of a vertebra, and why some vertebrae have no answer. Read while the Snakefile is parsed: no numpy."""

# The class of a vertebra or slice follows from two answers: is anything blastic, is anything lytic?
CLASSES = ("normal", "blastic", "mixed", "lytic")
ANSWERS = {"normal": (0, 0), "blastic": (1, 0), "mixed": (1, 1), "lytic": (0, 1)}  # blastic?, lytic?
CLASS_OF = {answers: name for name, answers in ANSWERS.items()}
INVOLVED = ("none", "one side", "both sides")  # posterolateral involvement, by the number of sides
UNKNOWN = -1  # of an answer that nobody knows

PHANTOM_LESIONS = "phantom lesions"
SPINE_METS = "Spine-Mets-CT-SEG"
PHANTOM_NOTICE = "PHANTOM lesions: drawn by a program, no patient has them"

# The two networks of every run, and their names for people.
MULTITASK, BASELINE = "multitask", "densenet121"
NETWORKS = {MULTITASK: "Two tasks", BASELINE: "DenseNet-121"}

# Why a vertebra is not learned from and not evaluated.
REASONS = {
    "cut_by_scan_edge": "Its mask touches the top or the bottom of the scan.",
    "lesion_too_small": "What was drawn of a lesion is too little for a reader to see.",
    "no_label": "The clinical table has no row for its case.",
    "label_unreadable": "Its case's row of the clinical table names levels in a way that cannot be read.",
    "class_unknown": "The clinical table says that it has a lesion, and not which.",
    "class_contradicts": "The clinical table lists it under classes that exclude each other.",
}


def bone_class(blastic: int, lytic: int) -> str:
    """The class that two answers make; "" where one is unknown."""
    return CLASS_OF.get((blastic, lytic), "")
