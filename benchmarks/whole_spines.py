"""Networks that read the whole spine (seq2seq), trained and measured on the scans of a finished run.

    .venv/bin/python benchmarks/whole_spines.py results FOLDER

Straightens the run's scans, trains every network of the ensemble on the training patients, and measures them on the
test patients: whole patients by each network and by all together, and vertebrae by the calibrated ensemble. The
settings are the defaults but for `--config`. With `--further N` the training also sees N phantoms that are in no run,
drawn as the settings say. Everything is written into FOLDER; a stopped one goes on.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from further_phantoms import further_spines, read_spine
from trained_on_grades import METRICS, merged
from vertegrade.arrays import read_array, write_array
from vertegrade.ct.volume import read_volume
from vertegrade.evaluation.cases import Cohort
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.evaluation.scan_scores import READINGS, scan_metrics
from vertegrade.files import sha256_of, write_json
from vertegrade.graders.seq2seq.scoring import score_tables
from vertegrade.graders.seq2seq.sequences import SpineScan
from vertegrade.graders.seq2seq.straighten import straight_spines
from vertegrade.graders.seq2seq.training_job import Seq2seqTrainingJob
from vertegrade.graders.seq2seq.weights import geometry_text, load_networks
from vertegrade.grading.prediction import with_patients
from vertegrade.grading.probabilities import calibrate_probabilities, predict_probabilities
from vertegrade.localizer.canal.find import load_canal
from vertegrade.settings import Settings
from vertegrade.settings.loading import check_settings
from vertegrade.tables import (
    CROPS,
    LABELS,
    LANDMARKS,
    PATIENT_SPLITS,
    SCANS,
    SPINE_BODIES,
    STRAIGHT_SPINES,
    read_table,
    read_tables,
    write_table,
)
from vertegrade.training.states import States
from vertegrade.workflow.code_hash import code_of, packages_of
from vertegrade.workflow.job import continue_log

CANAL = Path("models/localizer/canal.safetensors")


class WithFurther(Seq2seqTrainingJob):
    """The training of the workflow with further phantoms."""

    further: list[Path]

    def graded(self, split: str) -> list[SpineScan]:
        """The run's scans of a split, and for training all further ones."""
        own = super().graded(split)
        return [*own, *map(read_spine, self.further)] if split == "train" else own


def straighten(results: Path, folder: Path, shard: str, settings: Settings) -> None:
    """The straight spines of a shard, unless they are there."""
    if (folder / f"{shard}_bodies.parquet").is_file():
        return
    voxels, spines, bodies = straight_spines(
        read_table(results / f"landmarks/{shard}_scans.parquet", SCANS),
        read_table(results / f"crops/{shard}.parquet", CROPS),
        read_table(results / f"landmarks/{shard}.parquet", LANDMARKS),
        lambda scan_id: read_volume(results / f"ct/{shard}/{scan_id}_ct.nii.gz"),
        load_canal(CANAL, "cpu"),
        "cpu",
        settings.seq2seq.spine,
    )
    write_array(folder / f"{shard}.npy", voxels)
    write_table(folder / f"{shard}.parquet", spines, STRAIGHT_SPINES)
    write_table(folder / f"{shard}_bodies.parquet", bodies, SPINE_BODIES)


def train(
    results: Path, folder: Path, shards: list[str], settings: Settings, seed: int, threads: int, further: list[Path]
) -> Path:
    """The weights of the ensemble; a training that was stopped goes on."""
    block, rule = settings.seq2seq, "train_seq2seq"
    job = WithFurther(
        further=further,
        arrays=[folder / f"{shard}.npy" for shard in shards],
        spines=[folder / f"{shard}.parquet" for shard in shards],
        bodies=[folder / f"{shard}_bodies.parquet" for shard in shards],
        canal=CANAL,
        labels=[results / "cohort/labels.parquet"],
        splits=results / "cohort/splits.tsv",
        spine=block.spine,
        model=block.model,
        train=block.train,
        fracture_grade=settings.grading.fracture_grade,
        states=States(folder=folder / "state", code=code_of(rule), packages=packages_of(rule)),
        weights=folder / "weights.safetensors",
        metrics=folder / "training.json",
        log=folder / "log",
        seed=seed,
        device="cpu",
        threads=threads,
    )
    if not job.metrics.is_file():
        job.run()
    return job.weights


def measured(results: Path, folder: Path, shards: list[str], settings: Settings, seed: int) -> dict[str, Any]:
    """Figures of whole patients and of vertebrae, of the test patients."""
    trained, level = load_networks(folder / "weights.safetensors", "cpu"), settings.grading.fracture_grade
    geometry = geometry_text(settings.seq2seq.spine.model_dump(), sha256_of(CANAL))
    scored = [
        score_tables(
            trained,
            read_array(folder / f"{shard}.npy"),
            read_table(folder / f"{shard}.parquet", STRAIGHT_SPINES),
            read_table(folder / f"{shard}_bodies.parquet", SPINE_BODIES),
            geometry,
            level,
        )
        for shard in shards
    ]
    scores, scans = (pd.concat(part, ignore_index=True) for part in zip(*scored, strict=True))
    splits = read_table(results / "cohort/splits.tsv", PATIENT_SPLITS)
    labels = read_table(results / "cohort/labels.parquet", LABELS)
    calibration = calibrate_probabilities(scores, labels, splits, settings.grading, seed)
    predictions = with_patients(predict_probabilities(scores, calibration, splits, "seq2seq"), calibration)
    crops = read_tables([str(results / f"crops/{shard}.parquet") for shard in shards], CROPS)
    states = read_tables([str(results / f"landmarks/{shard}_scans.parquet") for shard in shards], SCANS)
    cohort = Cohort(labels, states, crops, splits)
    test = evaluate(predictions, cohort, settings.evaluation, level, seed, "seq2seq")["splits"]["test"]
    return {
        "patients": scan_metrics(scans, labels, splits, settings.evaluation, level, seed),
        "vertebrae": {metric: test["vertebra"][metric] for metric in METRICS},
        "patient_auc_of_vertebrae": test["patient"]["auc"],
        "not_evaluable": {str(k): int(v) for k, v in scores["reason"].value_counts().items() if k},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results folder of a finished run")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=31415)
    parser.add_argument("--config", type=Path, nargs="*", default=[], help="config files over the defaults")
    parser.add_argument("--further", type=int, default=0, help="phantoms that the training sees beside the run's")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    continue_log(given.folder / "log")
    config: dict[str, Any] = {}
    for file in given.config:
        config = merged(config, yaml.safe_load(file.read_text(encoding="utf-8")))
    settings = check_settings(config)
    shards = sorted(path.stem for path in (given.results / "crops").glob("*.parquet"))
    for shard in shards:
        straighten(given.results, given.folder, shard, settings)
    further = further_spines(given.folder / "further", given.further, settings, load_canal(CANAL, "cpu"))
    train(given.results, given.folder, shards, settings, given.seed, given.threads, further)
    figures = measured(given.results, given.folder, shards, settings, given.seed)
    write_json(given.folder / "figures.json", figures)
    for network, own in figures["patients"]["networks"].items():
        print(network, {reading: own[reading]["test"]["auc"] for reading in READINGS})
    print(json.dumps(figures["vertebrae"], indent=1))
