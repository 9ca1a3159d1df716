"""What re-runs when a setting or a module changes: the table that test_rerun_table.py holds the workflow to.

A row names the rules that the change itself touches; what follows from these is in FEEDS. A new rule, key or module
without a row fails the test. The longest row that fits counts: a row may be a whole section or room.
"""

from vertegrade.methods import BASELINES, DEFAULT, MAIN, METHODS

# Who reads what a rule writes; with / and a method where it is read for that one alone.
FEEDS = {
    "phantom": "convert localize labels",
    "convert": "localize spine_measures crop collapse_crops localization_picture flow",
    "localize": "fit_heights measure spine_measures crop collapse_crops counterfactual rivals split "
    "localization_picture evaluate differences figures summary flow outcome looks_at patients patient_pages "
    "compare_methods cohort_page",
    "localization_picture": "patient_pages",
    "fit_heights": "measure cohort_page",
    "measure": "fit_hyperplane/keypoints calibrate/keypoints fit_novelty/keypoints grade/keypoints collapse_crops "
    "counterfactual rivals looks_at patients patient_pages",
    "collapse_crops": "fit_steps",
    "fit_steps": "counterfactual",
    "crop": "labels appearance collapse_crops train_dae encode train_pca encode_pca counterfactual rivals evaluate "
    "differences figures montage flow looks_at looks_at_figure patient_pages charts compare_methods cohort_page",
    "appearance": "fit_novelty grade",
    "split": "labels fit_heights collapse_crops train_dae train_pca fit_hyperplane calibrate fit_novelty grade "
    "evaluate differences figures flow compare_methods",
    "labels": "fit_heights fit_hyperplane calibrate evaluate differences figures montage counterfactual_figure flow "
    "charts compare_methods cohort_page",
    "train_dae": "encode fit_steps counterfactual looks_at cohort_page",
    "encode": "fit_hyperplane/dae calibrate/dae fit_novelty/dae grade/dae counterfactual looks_at charts",
    "train_pca": "encode_pca looks_at",
    "encode_pca": "fit_hyperplane/pca calibrate/pca fit_novelty/pca grade/pca looks_at",
    "grades": "counterfactual counterfactual_figure montage summary flow outcome patients charts cohort_page",
    "spine_measures": "patients",
    "patients": "patient_pages",
    "follow_up": "patient_pages",
    "counterfactual": "rivals counterfactual_figure looks_at looks_at_figure cohort_page patient_pages",
    "looks_at": "looks_at_figure cohort_page",
    "looks_at_figure": "cohort_page",
    "rivals": "counterfactual_figure cohort_page",
    "counterfactual_figure": "cohort_page",
    "montage": "cohort_page",
    "charts": "cohort_page",
    "differences": "cohort_page",
    "compare_methods": "cohort_page",  # and what `compare` asks for
    "compare_groups": "compare",
    "learning_curve": "compare",
    "compare": "",
    "figures": "cohort_page",
    "summary": "cohort_page",
    "flow": "cohort_page",
    "cohort_page": "",
    "outcome": "",
    **dict.fromkeys(("audit", "why", "lineage", "ro_crate", "train_localizer"), ""),
    "virtual_fractures": "localize_virtual",
    "localize_virtual": "crop_virtual measure_virtual virtual_labels credibility evaluate_challenge",
    "virtual_labels": "",
    "crop_virtual": "appearance_virtual encode_virtual encode_pca_virtual credibility challenge",
    "appearance_virtual": "grade_virtual",
    "measure_virtual": "grade_virtual evaluate_challenge",
    "encode_virtual": "grade_virtual",
    "encode_pca_virtual": "grade_virtual",
    "grade_virtual": "evaluate_challenge",
    "credibility": "evaluate_challenge",
    "evaluate_challenge": "challenge",
    "challenge": "",
    "freeze": "",
    "patient_pages": "",
    "patient_pdfs": "",
    "metastasis": "",
    "metastasis_phantom": "convert_metastasis lesion_slices",
    "convert_metastasis": "lesion_slices",
    "lesion_slices": "train_bone_quality predict_bone_quality evaluate_bone_quality bone_quality_page",
    "train_bone_quality": "predict_bone_quality bone_quality_page",
    "predict_bone_quality": "evaluate_bone_quality bone_quality_page",
    "evaluate_bone_quality": "bone_quality_page",
    "bone_quality_page": "",
    "patches": "score_supervised score_supcon",
    "patches_virtual": "",
    "fuse": "",
    "fuse_virtual": "",
    "train_supervised": "score_supervised",
    "score_supervised": "calibrate_scores grade_scores",
    "train_supcon": "score_supcon",
    "score_supcon": "calibrate_scores grade_scores",
    "straight_spines": "score_seq2seq",
    "straight_spines_virtual": "",
    "train_seq2seq": "score_seq2seq",
    "score_seq2seq": "calibrate_scores grade_scores evaluate_seq2seq compare_methods",
    "score_seq2seq_virtual": "",
    "evaluate_seq2seq": "",  # and what `compare` asks for
    "calibrate_scores": "grade_scores",
    "grade_scores": "evaluate differences grades figures charts",
    "score_supervised_virtual": "",
    "score_supcon_virtual": "",
    "grade_scores_virtual": "",
    "export_scans": "export",
    "export": "",
}
for name in DEFAULT:
    method, main = METHODS[name], name == MAIN
    seen = name in ("dae", "pca")
    compared = name in BASELINES or bool(method.baseline)
    FEEDS |= {
        f"fit_hyperplane/{name}": f"calibrate/{name} fit_novelty/{name} grade/{name}"
        + " counterfactual charts" * main
        + " looks_at" * seen,
        f"calibrate/{name}": f"fit_novelty/{name} grade/{name} cohort_page"
        + " counterfactual" * main
        + " looks_at" * seen,
        f"fit_novelty/{name}": f"grade/{name}",
        f"grade/{name}": f"grades evaluate/{name} figures patients patient_pages charts compare_methods cohort_page"
        + " differences" * compared
        + " counterfactual counterfactual_figure looks_at montage" * main,
        f"evaluate/{name}": "figures summary cohort_page",
    }
for rule in ("fit_hyperplane", "calibrate", "fit_novelty", "grade", "evaluate"):
    FEEDS[rule] = " ".join(f"{rule}/{name}" for name in DEFAULT)
# Targets of their own, that no other rule reads.
ASKED_FOR = {"audit", "why", "lineage", "ro_crate", "train_localizer", "virtual_fractures", "localize_virtual"}
ASKED_FOR |= {"freeze", "patient_pdfs", "virtual_labels", "crop_virtual", "measure_virtual", "appearance_virtual"}
ASKED_FOR |= {"encode_virtual", "encode_pca_virtual", "grade_virtual"}
ASKED_FOR |= {"export_scans", "export"}
ASKED_FOR |= {"follow_up"}  # where the sheet has months
ASKED_FOR |= {"compare_groups", "learning_curve", "compare"}
ASKED_FOR |= {"credibility", "evaluate_challenge", "challenge"}
ASKED_FOR |= {"metastasis", "metastasis_phantom", "convert_metastasis", "lesion_slices", "train_bone_quality"}
ASKED_FOR |= {"predict_bone_quality", "evaluate_bone_quality", "bone_quality_page"}
# Of methods that only `methods` asks for.
ASKED_FOR |= {"fuse", "fuse_virtual"}
ASKED_FOR |= {"patches", "patches_virtual", "train_supervised", "score_supervised", "calibrate_scores", "grade_scores"}
ASKED_FOR |= {
    "score_supervised_virtual",
    "grade_scores_virtual",
    "train_supcon",
    "score_supcon",
    "score_supcon_virtual",
}
ASKED_FOR |= {"straight_spines", "straight_spines_virtual", "train_seq2seq", "score_seq2seq", "score_seq2seq_virtual"}
ASKED_FOR |= {"evaluate_seq2seq"}
# All rules that leave something.
ALL = {name for name in FEEDS if "/" not in name} - ASKED_FOR
# All that work on latents, hyperplane or calibrator.
GRADERS = {"calibrate", "counterfactual", "looks_at", "fit_novelty", "grade"}
DAE = {"train_dae", "encode", "fit_steps", "counterfactual", "rivals", "looks_at"}
MEASURING = {"localize", "counterfactual", "rivals"}  # the refiner, with all that its file of weights is read by
PIXELS = {"counterfactual", "rivals"}
DRAWN = PIXELS | {"looks_at"}
PICTURES = {"montage", "counterfactual_figure", "looks_at_figure", "localization_picture"}

WINDOW = PICTURES | {"patient_pages", "charts", "cohort_page"}
# How grades are held against labels; the page tells how.
JUDGES = {"evaluate", "differences", "compare_methods", "cohort_page"}
# Crops as the encoder sees them: between dae.model.hu_low and hu_high.
CLIPPED = {
    "cohort_page",
    "patient_pages",
    "train_dae",
    "train_pca",
    "rivals",
    "counterfactual_figure",
    "looks_at_figure",
}

# Key or section -> rules whose params it is in. `summary` prints the hash of all settings, so every key touches it,
# except those that change no result.
KEYS: dict[str, set[str]] = {
    "run.logs": set(),
    "run.device": set(),
    "run.fail_on": {"outcome"},
    "run.seed": {
        "phantom",
        "train_dae",
        "train_pca",
        "fit_hyperplane",
        "calibrate",
        "counterfactual",
        "rivals",
        "looks_at",
        "evaluate",
        "collapse_crops",
    }
    | {"differences", "summary", "compare_methods", "cohort_page"},
    "cohort.splits": {"split", "cohort_page", "summary"},
    "phantom": {"phantom", "summary"},
    "ct": {"convert", "summary"},
    "localize": {"localize", "summary"},
    "localize.min_confidence": {"localize", "cohort_page", "summary"},
    "localize.first_vertebra": {"localize", "patient_pages", "cohort_page", "summary"},
    "localize.last_vertebra": {"localize", "patient_pages", "cohort_page", "summary"},
    "train_localizer": {"summary"},
    "virtual_fractures": {"summary"},
    "metastasis": {"summary"},
    "patches": {"summary"},
    "supervised": {"summary"},
    "supcon": {"summary"},
    "seq2seq": {"summary"},
    "metastasis.train.save_every_s": set(),
    "supervised.train.save_every_s": set(),
    "supcon.train.save_every_s": set(),
    "seq2seq.train.save_every_s": set(),
    "crop": {"crop", "collapse_crops", "train_dae", "counterfactual", "rivals", "looks_at", "cohort_page", "summary"},
    "dae.model": {"train_dae", "rivals", "cohort_page", "summary"},
    "dae.model.hu_low": CLIPPED | {"summary"},
    "dae.model.hu_high": CLIPPED | {"summary"},
    "dae.train": {"train_dae", "cohort_page", "summary"},
    "dae.train.save_every_s": set(),
    "dae.encode": {"encode", "fit_steps", "summary"},
    "dae.counterfactual": {"counterfactual", "summary"},
    "dae.counterfactual.vertebrae": {"counterfactual", "looks_at", "summary"},
    "dae.counterfactual.rounds": {"counterfactual", "rivals", "summary"},
    "dae.counterfactual.pairs": {"collapse_crops", "summary"},
    "dae.counterfactual.shown": {"counterfactual_figure", "cohort_page", "summary"},
    "grading.fracture_grade": {"patient_pages", "fit_hyperplane", "calibrate", "summary"} | JUDGES,
    "grading.classifier": {"fit_hyperplane", "calibrate", "cohort_page", "summary"},
    "grading.folds": {"fit_hyperplane", "calibrate", "cohort_page", "summary"},
    "grading.calibration": {"calibrate", "cohort_page", "summary"},
    "grading.coverage": {"patient_pages", "calibrate", "cohort_page", "summary"},
    "grading.novel": {"grade", "cohort_page", "summary"},
    "grading.pca": {"train_pca", "cohort_page", "summary"},
    "evaluation": {"evaluate", "cohort_page", "summary"},
    "evaluation.bootstrap_resamples": {"rivals", "looks_at", "summary"} | JUDGES,
    "evaluation.confidence": {"rivals", "looks_at", "summary"} | JUDGES,
    "evaluation.minimum_cases": {"rivals", "looks_at", "summary"} | JUDGES,
    "freeze": {"summary"},
    "follow_up": {"summary"},
    "compare": {"summary"},
    "report.montage_crops": {"montage", "cohort_page", "summary"},
    "report.window_centre_hu": WINDOW | {"summary"},
    "report.window_width_hu": WINDOW | {"summary"},
    "report.recommendation": {"patient_pages", "summary"},
    "report.difference_hu": {"counterfactual_figure", "summary"},
}
# Keys that change which jobs there are; each has a test of its own in test_rerun_table.py.
OTHER_DAG = {
    "methods",
    "export.write",
    "report.pdf",
    "cohort.qc",
    "run.results",
    "run.model",
    "cohort.sheet",
    "cohort.labels",
    "cohort.shards",
    "phantom.patients",
    "phantom.repeat_scans",
    "phantom.follow_up",
    "localize.method",
    "localize.overrides",
    "metastasis.folder",
}
# Another valid value, where one a little larger or another choice would not be.
VALUES = {
    "compare.label_shares": [0.25, 1.0],
    "crop.size": 128,
    "crop.slices": 7,
    "dae.model.slices": 3,
    "dae.model.unshuffle": 2,
    "dae.model.encoder_unshuffle": 4,
    "dae.model.channels": 64,
    "metastasis.train.batch_size": 16,
    "dae.model.encoder_channels": 64,
    "grading.pca.components": 32,
    "dae.model.multipliers": [1, 3],
    "dae.model.attention_resolutions": [16],
    "dae.model.encoder_multipliers": [1, 2, 4, 8],
    "evaluation.thickness_bands_mm": [1.0, 2.0],
    "grading.coverage": 0.7,
    "metastasis.network.blocks": [4, 6, 8],
    "metastasis.baseline_blocks": [6, 12, 24, 32],
    "supervised.model.windows_hu": [[-350.0, 1150.0], [-60.0, 150.0]],
    "supervised.model.densenet.layers": [4, 4, 5],
    "supervised.model.seresnet.layers": [1, 1, 1, 2],
    "supcon.model.windows_hu": [[-60.0, 150.0], [-350.0, 1150.0]],
    "supcon.model.seresnet.layers": [1, 1, 1, 2],
    "seq2seq.model.variants": ["recurrent", "convolution"],
    "seq2seq.model.windows_hu": [[-350.0, 1150.0], [-60.0, 150.0]],
    "seq2seq.model.features": 72,
    "seq2seq.model.seresnet.layers": [1, 1, 1, 2],
    "grading.novel": "withhold",
    "localize.last_vertebra": 24,
}


def row_of(name: str, table: dict[str, set[str]]) -> set[str]:
    """The longest row that a key or module falls under; KeyError where the table has none."""
    fitting = [row for row in table if name == row or name.startswith(row if row.endswith("/") else f"{row}.")]
    if not fitting:
        raise KeyError(f"{name} has no row in tests/helpers/rerun_table.py: say what it re-runs")
    return table[max(fitting, key=len)]


def with_followers(rules: set[str]) -> set[str]:
    """The rules and all that follows from them."""
    todo, found = list(rules), set[str]()
    while todo:
        rule = todo.pop()
        if rule not in found:
            found.add(rule)
            todo += FEEDS[rule].split()
    return {name.split("/")[0] for name in found}
