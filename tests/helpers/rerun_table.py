"""What re-runs when a setting or a module changes: the table that test_rerun_table.py holds the workflow to.

A row names the rules that the change itself touches; what follows from these is in FEEDS. A new rule, key or module
without a row fails the test. The longest row that fits counts: a row may be a whole section or room.
"""

from vertegrade.methods import BASELINES, MAIN, METHODS

# Who reads what a rule writes; with / and a method where it is read for that one alone.
FEEDS = {
    "phantom": "convert localize labels",
    "convert": "localize crop collapse_crops localization_picture flow",
    "localize": "fit_heights measure crop collapse_crops counterfactual rivals split localization_picture evaluate "
    "compare figures summary flow outcome",
    "localization_picture": "",
    "fit_heights": "measure cohort_page",
    "measure": "fit_hyperplane/keypoints calibrate/keypoints fit_novelty/keypoints grade/keypoints collapse_crops "
    "counterfactual rivals",
    "collapse_crops": "fit_steps",
    "fit_steps": "counterfactual",
    "crop": "labels appearance collapse_crops train_dae encode train_pca encode_pca counterfactual rivals evaluate "
    "compare figures montage flow",
    "appearance": "fit_novelty grade",
    "split": "labels fit_heights collapse_crops train_dae train_pca fit_hyperplane calibrate fit_novelty grade "
    "evaluate compare figures flow",
    "labels": "fit_heights fit_hyperplane calibrate evaluate compare figures montage counterfactual_figure flow",
    "train_dae": "encode fit_steps counterfactual cohort_page",
    "encode": "fit_hyperplane/dae calibrate/dae fit_novelty/dae grade/dae counterfactual",
    "train_pca": "encode_pca",
    "encode_pca": "fit_hyperplane/pca calibrate/pca fit_novelty/pca grade/pca",
    "grades": "counterfactual_figure montage summary flow outcome",
    "counterfactual": "rivals counterfactual_figure cohort_page",
    "rivals": "counterfactual_figure cohort_page",
    "counterfactual_figure": "cohort_page",
    "montage": "cohort_page",
    "compare": "cohort_page",
    "figures": "cohort_page",
    "summary": "cohort_page",
    "flow": "cohort_page",
    "cohort_page": "",
    "outcome": "",
    "audit": "",
    "why": "",
    "lineage": "",
    "ro_crate": "",
    "train_localizer": "",
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
    "scans_page": "",
}
for name, method in METHODS.items():
    main = name == MAIN
    compared = name in BASELINES or bool(method.baseline)
    FEEDS |= {
        f"fit_hyperplane/{name}": f"calibrate/{name} fit_novelty/{name} grade/{name}" + " counterfactual" * main,
        f"calibrate/{name}": f"fit_novelty/{name} grade/{name} cohort_page" + " counterfactual" * main,
        f"fit_novelty/{name}": f"grade/{name}",
        f"grade/{name}": f"grades evaluate/{name} figures"
        + " compare" * compared
        + " counterfactual counterfactual_figure montage" * main,
        f"evaluate/{name}": "figures summary cohort_page",
    }
for rule in ("fit_hyperplane", "calibrate", "fit_novelty", "grade", "evaluate"):
    FEEDS[rule] = " ".join(f"{rule}/{name}" for name in METHODS)
# Targets of their own, that no other rule reads.
ASKED_FOR = {"audit", "why", "lineage", "ro_crate", "train_localizer", "virtual_fractures", "localize_virtual"}
ASKED_FOR |= {"freeze", "scans_page", "virtual_labels", "crop_virtual", "measure_virtual", "appearance_virtual"}
ASKED_FOR |= {"encode_virtual", "encode_pca_virtual", "grade_virtual"}
ASKED_FOR |= {"credibility", "evaluate_challenge", "challenge"}
# All rules that leave something.
ALL = {name for name in FEEDS if "/" not in name} - ASKED_FOR
# All that work on latents, hyperplane or calibrator.
GRADERS = {"calibrate", "counterfactual", "fit_novelty", "grade"}
DAE = {"train_dae", "encode", "fit_steps", "counterfactual", "rivals"}
MEASURING = {"localize", "counterfactual", "rivals"}  # the refiner, with all that its file of weights is read by
DRAWN = {"counterfactual", "rivals"}
PICTURES = {"montage", "counterfactual_figure", "localization_picture"}

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
        "evaluate",
        "collapse_crops",
    }
    | {"compare", "summary"},
    "cohort.splits": {"split", "summary"},
    "phantom": {"phantom", "summary"},
    "ct": {"convert", "summary"},
    "localize": {"localize", "summary"},
    "train_localizer": {"summary"},
    "virtual_fractures": {"summary"},
    "crop": {"crop", "collapse_crops", "train_dae", "counterfactual", "rivals", "summary"},
    "dae.model": {"train_dae", "rivals", "summary"},
    "dae.model.hu_low": {"train_dae", "train_pca", "rivals", "counterfactual_figure", "summary"},
    "dae.model.hu_high": {"train_dae", "train_pca", "rivals", "counterfactual_figure", "summary"},
    "dae.train": {"train_dae", "summary"},
    "dae.train.save_every_s": set(),
    "dae.encode": {"encode", "fit_steps", "summary"},
    "dae.counterfactual": {"counterfactual", "summary"},
    "dae.counterfactual.pairs": {"collapse_crops", "summary"},
    "dae.counterfactual.shown": {"counterfactual_figure", "summary"},
    "grading.fracture_grade": {"fit_hyperplane", "calibrate", "evaluate", "compare", "summary"},
    "grading.classifier": {"fit_hyperplane", "calibrate", "summary"},
    "grading.folds": {"fit_hyperplane", "calibrate", "summary"},
    "grading.calibration": {"calibrate", "summary"},
    "grading.coverage": {"calibrate", "summary"},
    "grading.novel": {"grade", "summary"},
    "grading.pca": {"train_pca", "summary"},
    "evaluation": {"evaluate", "summary"},
    "evaluation.bootstrap_resamples": {"evaluate", "compare", "rivals", "summary"},
    "evaluation.confidence": {"evaluate", "compare", "rivals", "summary"},
    "evaluation.minimum_cases": {"evaluate", "compare", "rivals", "summary"},
    "freeze": {"summary"},
    "report.montage_crops": {"montage", "summary"},
    "report.window_centre_hu": PICTURES | {"summary"},
    "report.window_width_hu": PICTURES | {"summary"},
    "report.difference_hu": {"counterfactual_figure", "summary"},
}
# Keys that change which jobs there are; each has a test of its own in test_rerun_table.py.
OTHER_DAG = {
    "run.results",
    "run.model",
    "cohort.sheet",
    "cohort.labels",
    "cohort.shards",
    "phantom.patients",
    "phantom.repeat_scans",
    "localize.method",
    "localize.overrides",
}
# Another valid value, where one a little larger or another choice would not be.
VALUES = {
    "crop.size": 128,
    "crop.slices": 7,
    "dae.model.slices": 3,
    "dae.model.unshuffle": 2,
    "dae.model.encoder_unshuffle": 4,
    "dae.model.channels": 64,
    "dae.model.encoder_channels": 64,
    "grading.pca.components": 32,
    "dae.model.multipliers": [1, 3],
    "dae.model.attention_resolutions": [16],
    "dae.model.encoder_multipliers": [1, 2, 4, 8],
    "evaluation.thickness_bands_mm": [1.0, 2.0],
    "grading.coverage": 0.7,
    "grading.novel": "withhold",
    "localize.last_vertebra": 24,
}

# Module or room (ends in /) below workflow_scripts/vertegrade/ -> rules whose code it is.
MODULES: dict[str, set[str]] = {
    "__init__.py": ALL,
    "arrays.py": ALL - {"convert", "cohort_page", "figures", "flow", "grades", "labels", "outcome", "split", "summary"},
    "files.py": ALL,
    "gpus.py": {"train_dae"},
    "level_texts.py": {"phantom", "localize", "split", "labels", "evaluate", "compare", "outcome"}
    | PICTURES
    | {"collapse_crops", "counterfactual"},
    "levels.py": {
        "outcome",
        "phantom",
        "localize",
        "fit_heights",
        "measure",
        "crop",
        "split",
        "labels",
        "evaluate",
        "compare",
    }
    | {"grades", "collapse_crops"}
    | DRAWN
    | PICTURES,
    "methods.py": {"figures", "cohort_page", "grades"},
    "model_files.py": DAE | GRADERS | {"fit_hyperplane", "fit_heights", "measure"},
    "plotting.py": {"figures", "flow", "cohort_page"} | PICTURES,
    "reasons.py": {"convert", "localize", "flow", "cohort_page", "montage", "counterfactual_figure", "outcome"},
    "tables.py": ALL,
    "report/applied.py": {"cohort_page"},
    "report/templates.py": {"cohort_page"},
    "threads.py": {"localize", "encode", "fit_steps"},
    "vertebra_reasons.py": {"flow", "cohort_page", "montage", "counterfactual_figure", "outcome"},
    "weights.py": {"localize"} | DAE,
    "settings/": set(),
    "workflow/": set(),
    "workflow/__init__.py": ALL,
    "workflow/job.py": ALL,
    "workflow/cost.py": {"summary"},
    "workflow/run_facts.py": {"summary"},
    "cohort/__init__.py": {
        "fit_heights",
        "phantom",
        "convert",
        "localize",
        "split",
        "labels",
        "train_dae",
        "train_pca",
        "encode_pca",
    }
    | GRADERS
    | {"fit_hyperplane", "collapse_crops"},
    "cohort/sheet.py": {"phantom", "convert", "localize", "split", "labels"},
    "cohort/verse_names.py": {"phantom", "convert", "localize", "split", "labels"},
    "cohort/splits.py": {"fit_heights", "split", "labels", "train_dae", "train_pca", "encode_pca", "fit_hyperplane"}
    | GRADERS
    | {"collapse_crops"},
    "cohort/hashed_split.py": {
        "fit_heights",
        "split",
        "labels",
        "train_dae",
        "train_pca",
        "encode_pca",
        "fit_hyperplane",
    }
    | GRADERS
    | {"collapse_crops"},
    "cohort/labels.py": {"split", "labels"},
    "cohort/sources.py": {"split", "labels"},
    "cohort/verse19.py": {"split", "labels"},
    "cohort/leakage.py": {"split"},
    "cohort/coverage.py": {"labels"},
    "fractures/": {"phantom", "collapse_crops", "counterfactual"},
    "fractures/__init__.py": {"phantom", "collapse_crops"} | DRAWN,
    "fractures/collapse.py": {"phantom", "collapse_crops"} | DRAWN,
    "phantom/": {"phantom"},
    "phantom/roster.py": set(),
    "phantom/training_scan.py": set(),
    "ct/": {"convert"},
    "ct/__init__.py": {"convert", "localize", "crop", "localization_picture", "collapse_crops"} | DRAWN,
    "ct/checksum.py": {"convert", "localize"},
    "ct/nifti_file.py": {"convert", "localize"},
    "ct/volume.py": {"convert", "localize", "crop", "localization_picture", "collapse_crops"} | DRAWN,
    "annotations/": {"localize"},
    "annotations/mosmed.py": set(),
    "spine/": {"localize"},
    "spine/__init__.py": {
        "phantom",
        "localize",
        "fit_heights",
        "measure",
        "crop",
        "localization_picture",
        "collapse_crops",
    }
    | DRAWN,
    "spine/centreline.py": {"localize", "crop", "localization_picture", "collapse_crops"} | DRAWN,
    "spine/crop.py": {"localize", "crop", "collapse_crops"} | DRAWN,
    "spine/straighten.py": {"localize", "crop", "collapse_crops"} | DRAWN,
    "spine/heights.py": {"phantom", "localize", "fit_heights", "measure", "collapse_crops"} | DRAWN,
    "spine/fit_intact_heights.py": {"fit_heights"},
    "spine/indices.py": {"fit_heights", "measure"},
    "spine/intact_heights.py": {"fit_heights", "measure"},
    "spine/level_statistics.py": {"phantom", "localize", "fit_heights", "measure", "collapse_crops"},
    "spine/normal_ratios.py": {"fit_heights", "measure"},
    "localizer/": {"localize"},
    "localizer/refiner/in_crops.py": {"counterfactual", "rivals"},
    "localizer/__init__.py": MEASURING,
    "localizer/detector/network.py": MEASURING,
    "localizer/detector/__init__.py": MEASURING,
    "localizer/centreline/network.py": MEASURING,
    "localizer/centreline/low_resolution.py": MEASURING,
    "localizer/centreline/__init__.py": MEASURING,
    "localizer/refiner/refine.py": MEASURING,
    "localizer/refiner/network.py": MEASURING,
    "localizer/refiner/look.py": MEASURING,
    "localizer/refiner/__init__.py": MEASURING,
    "localizer/networks.py": MEASURING,
    "localizer/straight_image.py": MEASURING,
    "localizer/weights.py": MEASURING,
    "localizer/image_augmentation.py": set(),
    "localizer/own_scans.py": set(),
    "localizer/sample_file.py": set(),
    "localizer/samples.py": set(),
    "localizer/train.py": set(),
    "localizer/training.py": set(),
    "localizer/centreline/augmentation.py": set(),
    "localizer/centreline/loss.py": set(),
    "localizer/centreline/samples.py": set(),
    "localizer/detector/loss.py": set(),
    "localizer/detector/samples.py": set(),
    "localizer/refiner/loss.py": set(),
    "localizer/refiner/samples.py": set(),
    "training/": {"train_dae"},
    "virtual_fractures/": {"collapse_crops"},
    "virtual_fractures/make.py": set(),  # asked for alone
    "virtual_fractures/truth.py": set(),
    "graders/__init__.py": DAE | {"train_pca", "encode_pca", "measure"},
    "graders/crops.py": {"train_dae", "encode", "fit_steps", "train_pca", "encode_pca"},
    "graders/taught.py": {"train_dae", "train_pca"},
    "graders/pca.py": {"train_pca", "encode_pca"},
    "graders/keypoints/": {"measure"},
    "graders/dae/": DAE,
    "graders/dae/augmentation.py": {"train_dae"},
    "graders/dae/optimiser.py": {"train_dae"},
    "graders/dae/training.py": {"train_dae"},
    "graders/dae/training_job.py": {"train_dae"},
    "graders/dae/validation.py": {"train_dae"},
    "graders/dae/encoding.py": {"encode", "fit_steps"},
    "graders/dae/latents.py": {"encode"},
    "graders/dae/original.py": set(),
    "graders/dae/counterfactual.py": DRAWN,
    "graders/dae/steps.py": {"fit_steps"} | DRAWN,
    "graders/dae/instruments.py": {"counterfactual"},
    "graders/dae/shown.py": DRAWN,
    "graders/dae/decoding.py": DRAWN,
    "grading/": GRADERS,
    "grading/__init__.py": GRADERS | {"appearance", "train_pca", "encode_pca", "fit_hyperplane", "grades"},
    "grading/rows.py": GRADERS | {"train_pca", "encode_pca", "fit_hyperplane"},
    "grading/hyperplane.py": GRADERS | {"fit_hyperplane"},
    "grading/prediction.py": {"grade"},
    "grading/appearance.py": {"appearance", "fit_novelty", "grade"},
    "grading/novelty.py": {"fit_novelty", "grade"},
    "grading/grades.py": {"grades"},
    "grading/counterfactual.py": {"counterfactual"},
    "evaluation/": {"evaluate", "compare"},
    "evaluation/bootstrap.py": {"evaluate", "compare", "rivals"},
    "evaluation/metrics.py": {"evaluate", "compare", "rivals"},
    "evaluation/rival.py": {"rivals"},
    "evaluation/warp.py": {"rivals"},
    "evaluation/__init__.py": {"evaluate", "compare", "figures", "summary", "cohort_page", "flow"} | DRAWN,
    "evaluation/cases.py": {"evaluate", "compare", "figures", "flow", "cohort_page"},
    "evaluation/figures.py": {"figures"},
    "evaluation/counterfactual.py": {"counterfactual"},
    "evaluation/challenge/__init__.py": {"rivals"},
    "evaluation/challenge/credibility.py": {"rivals"},
    "evaluation/challenge/thresholds.py": {"rivals"},
    "evaluation/challenge/": set(),  # asked for alone
    "evaluation/texts.py": {"figures", "cohort_page"},
    "evaluation/summary.py": {"summary"},
    "report/__init__.py": {"cohort_page", "flow", "outcome", "counterfactual"} | PICTURES,
    "report/challenge/": set(),
    "report/montage.py": {"montage", "counterfactual_figure"},
    "report/strip_table.py": {"cohort_page"},
    "report/strips.py": {"counterfactual_figure"},
    "report/rivals.py": {"counterfactual_figure"},
    "report/rival_table.py": {"cohort_page"},
    "report/spread.py": {"montage", "counterfactual", "counterfactual_figure"},
    "report/model_card.py": set(),
    "report/scans_page.py": set(),
    "report/localization_picture.py": {"localization_picture"},
    "report/cohort_page.py": {"cohort_page"},
    "report/outcome.py": {"outcome"},
    "report/flow.py": {"cohort_page", "flow"},
    "report/flow_figure.py": {"flow"},
    "commands.py": set(),
    "api.py": set(),
    "folder_run.py": set(),
    "latents.py": set(),
    "latents_file.py": set(),
    "frozen.py": set(),
    "index/": set(),
    "preflight/": set(),
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
