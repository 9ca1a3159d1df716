"""Networks trained on grades, over seeds: both readings of SupCon and cross-entropy alone; networks and heads.

    snakemake --cores 2 results/patches/{0,1,2,3}.npy     # once, for a finished run
    .venv/bin/python benchmarks/trained_on_grades.py results --variants joint,detached,plain --seeds 5

Each variant is trained on the training patients with each seed, calibrated on the validation patients, and measured on
the test patients of a finished run. The settings are those of the config files (`--config`) but for what the variant is
about. With `--shares` the training has the labels of that share of its training patients alone, the same as the
workflow's learning curves draw; validation and test keep theirs. Writes
<results>/trained_on_grades/VARIANT-SEED/ (VARIANT-SEED-SHARE/ for less than all labels) and prints mean and standard
deviation over the seeds. A stopped training goes on, and a finished one is not done again.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from vertegrade.arrays import read_array
from vertegrade.evaluation.cases import Cohort
from vertegrade.evaluation.comparison.learning_curve import keep_labels_of
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.files import write_json
from vertegrade.graders.classifiers.scoring import score_table
from vertegrade.graders.classifiers.training_job import geometry_text
from vertegrade.graders.classifiers.weights import load_classifier
from vertegrade.graders.supcon import network as supcon_network
from vertegrade.graders.supcon.training_job import SupconTrainingJob
from vertegrade.graders.supervised import network as supervised_network
from vertegrade.graders.supervised.training_job import SupervisedTrainingJob
from vertegrade.grading.prediction import with_patients
from vertegrade.grading.probabilities import calibrate_probabilities, predict_probabilities
from vertegrade.settings import Settings
from vertegrade.settings.loading import check_settings
from vertegrade.tables import CROPS, LABELS, PATIENT_SPLITS, SCANS, read_table, read_tables, write_table
from vertegrade.training.states import States
from vertegrade.workflow.code_hash import code_of, packages_of
from vertegrade.workflow.job import continue_log

# Method, and the settings that a variant is about.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "joint": ("supcon", {"train": {"reading": "joint"}}),
    "detached": ("supcon", {"train": {"reading": "detached"}}),
    "plain": ("supcon", {"train": {"contrastive": 0.0}}),
    "binary": ("supcon", {"model": {"classes": "binary"}}),
} | {
    f"{network}-{head}": ("supervised", {"model": {"network": network, "head": head}})
    for network in ("densenet", "seresnet")
    for head in ("cross_entropy", "corn", "cumulative")
}
METRICS = ("auc", "spearman_height_loss", "macro_f1", "qwk", "sensitivity", "specificity", "interval_coverage")


def measured(
    results: Path, name: str, seed: int, share: float, config: dict[str, Any], threads: int
) -> dict[str, float]:
    """Train a variant, or take what is there, and measure its predictions of the test patients."""
    method, changes = VARIANTS[name]
    settings = check_settings(merged(config, {method: changes}))
    folder = results / "trained_on_grades" / (f"{name}-{seed}" + (f"-{share:g}" if share < 1 else ""))
    done = folder / "metrics.json"
    if done.is_file():
        return dict(json.loads(done.read_text(encoding="utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    seen = "patches" if method == "supcon" or settings.supervised.model.network == "seresnet" else "crops"
    tables = sorted((results / seen).glob("*.parquet"))
    splits, labels = (
        read_table(results / "cohort" / file, schema)
        for file, schema in (("splits.tsv", PATIENT_SPLITS), ("labels.parquet", LABELS))
    )
    kept = labels if share == 1 else keep_labels_of(labels, splits, share, settings.grading.fracture_grade, seed)
    write_table(folder / "labels.parquet", kept, LABELS)
    job = training_job(results, folder, settings, method, seed, tables, threads)
    if not job.metrics.is_file():
        job.run()
    rebuild = (supcon_network if method == "supcon" else supervised_network).rebuild
    trained = load_classifier(job.weights, method, rebuild, "cpu")
    scores = pd.concat(
        score_table(trained, read_table(table, CROPS), read_array(table.with_suffix(".npy")), geometry_text({}))
        for table in tables
    )
    calibration = calibrate_probabilities(scores, labels, splits, settings.grading, seed)
    predictions = with_patients(predict_probabilities(scores, calibration, splits, method), calibration)
    crops = read_tables(sorted(map(str, (results / "crops").glob("*.parquet"))), CROPS)
    scans = read_tables(sorted(map(str, (results / "landmarks").glob("*_scans.parquet"))), SCANS)
    # The intervals of single trainings are not shown, so the fewest resamples do.
    evaluation = settings.evaluation.model_copy(update={"bootstrap_resamples": 20})
    cohort = Cohort(labels, scans, crops, splits)
    test = evaluate(predictions, cohort, evaluation, calibration.fracture_grade, seed, method)["splits"]["test"]
    figures = {metric: test["vertebra"][metric]["value"] for metric in METRICS}
    figures |= {"patient_auc": test["patient"]["auc"]["value"]}
    figures |= {key: json.loads(job.metrics.read_text())[key] for key in ("best_step", "seconds")}
    write_json(done, figures)
    return figures


def training_job(
    results: Path, folder: Path, settings: Settings, method: str, seed: int, tables: list[Path], threads: int
) -> SupconTrainingJob | SupervisedTrainingJob:
    """The training of the workflow, with files in `folder`."""
    rule = f"train_{method}"
    files: dict[str, Any] = {
        "tables": tables,
        "arrays": [table.with_suffix(".npy") for table in tables],
        "labels": [folder / "labels.parquet"],
        "splits": results / "cohort/splits.tsv",
        "geometry": {},
        "states": States(folder=folder / "state", code=code_of(rule), packages=packages_of(rule)),
        "weights": folder / "weights.safetensors",
        "metrics": folder / "training.json",
        "log": folder / "log",
        "seed": seed,
        "device": "cpu",
        "threads": threads,
    }
    block = getattr(settings, method)
    if method == "supervised":
        return SupervisedTrainingJob(model=block.model, train=block.train, **files)
    return SupconTrainingJob(
        model=block.model, train=block.train, fracture_grade=settings.grading.fracture_grade, **files
    )


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Nested settings, of which the second ones count."""
    both = dict(first)
    for key, value in second.items():
        both[key] = merged(both.get(key, {}), value) if isinstance(value, dict) else value
    return both


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results folder of a finished run")
    parser.add_argument("--variants", default="joint,detached,plain", help=", ".join(VARIANTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--shares", default="1", help="of the labelled training patients, such as 0.25,0.5,1")
    parser.add_argument("--config", type=Path, nargs="*", default=[], help="config files over the defaults")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    continue_log(Path(os.devnull))
    config: dict[str, Any] = {}
    for file in arguments.config:
        config = merged(config, yaml.safe_load(file.read_text(encoding="utf-8")))
    rows = [
        {"variant": name, "share": share, "seed": seed}
        | measured(arguments.results, name, seed, share, config, arguments.threads)
        for seed in range(arguments.seeds)
        for share in map(float, arguments.shares.split(","))
        for name in arguments.variants.split(",")
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    summary = table.drop(columns="seed").groupby(["variant", "share"], sort=False).agg(["mean", "std"]).round(3)
    print(summary.T.to_string())
