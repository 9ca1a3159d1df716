"""What each part of the network of bone quality is worth: it is trained without it, on the slices of a finished run.

    python benchmarks/bone_quality_ablations.py RESULTS --out FOLDER [--configfile FILE] [--steps N] [--seeds 1 2]
        [--further RESULTS]

RESULTS: of a run of `snakemake metastasis` with the same settings, whose baseline is compared with. Everything is
resumed by the same command. Prints a table and writes FOLDER/ablations.json; figures are of test patients, the step of
each training is chosen on validation patients. further: a run of the same settings with more phantoms
(`--until lesion_slices` is enough), of which all patients that the first run does not have are test patients too.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
import yaml

from vertegrade.evaluation.bone_quality import bone_metrics
from vertegrade.evaluation.texts import estimate_text
from vertegrade.metastasis.classes import BASELINE, MULTITASK
from vertegrade.metastasis.network.learning import train_network
from vertegrade.metastasis.network.model import shape_of
from vertegrade.metastasis.network.predict import predict
from vertegrade.metastasis.network.vertebrae import Vertebrae, read_vertebrae
from vertegrade.metastasis.network.weights import load_network
from vertegrade.metastasis.tables import BONE_SLICES
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.metastasis import MetastasisSettings
from vertegrade.tables import read_table
from vertegrade.training.states import States
from vertegrade.workflow.code_hash import code_of, packages_of
from vertegrade.workflow.job import device_of

WITHOUT: dict[str, dict[str, dict[str, Any]]] = {
    "nothing": {},
    "no two tasks": {"network": {"tasks": "softmax"}},
    "no MLP": {"network": {"fusion": "product"}},
    "no posterolateral task": {"train": {"auxiliary_weight": 0.0}},
    "no label smoothing": {"train": {"label_smoothing": 0.0}},
    "no self-paced learning": {"train": {"self_paced": "off"}},
}
FIGURES = ("macro_f1", "macro_sensitivity", "macro_sensitivity_at", "macro_auc")


def settings_with(given: dict[str, Any], changes: dict[str, dict[str, Any]]) -> MetastasisSettings:
    """The run's settings of `metastasis`, with all parts of the paper but what `changes` say of its sections."""
    given = given | {"network": given.get("network", {}) | {"fusion": "mlp"}}
    merged = given | {section: given.get(section, {}) | keys for section, keys in changes.items()}
    return MetastasisSettings.model_validate(merged)


class Cohort(NamedTuple):
    """BONE_LABELS and BONE_SLICES of a run, and its vertebrae in the order of the labels."""

    labels: pd.DataFrame
    known: pd.DataFrame
    vertebrae: Vertebrae


def read_cohort(results: Path) -> Cohort:
    """All that a run cut out."""
    folder = results / "metastasis"
    files = {end: sorted(folder.glob(f"slices/*{end}")) for end in ("_labels.parquet", "_slices.parquet", ".npy")}
    vertebrae = read_vertebrae(*files.values())
    known = pd.concat([read_table(path, BONE_SLICES) for path in files["_slices.parquet"]], ignore_index=True)
    return Cohort(vertebrae.labels, known, vertebrae)


def others(further: Cohort, cohort: Cohort) -> Cohort:
    """Patients of another run that are not in this one, all as test patients."""
    new = ~further.labels["patient_id"].isin(cohort.labels["patient_id"]).to_numpy()
    vertebrae = further.vertebrae.only(new)
    vertebrae.labels["split"] = "test"
    known = further.known[further.known["scan_id"].isin(vertebrae.labels["scan_id"])]
    return Cohort(vertebrae.labels, known, vertebrae)


def predictions(weights: Path, name: str, cohorts: Sequence[Cohort]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """BONE_PREDICTIONS and BONE_SLICE_PREDICTIONS by a network of all cohorts."""
    made = [predict(load_network(weights), name, each.vertebrae, "cpu") for each in cohorts]
    whole, slices = (pd.concat(parts, ignore_index=True) for parts in zip(*made, strict=True))
    return whole, slices


def row_of(name: str, seed: int, metrics: dict[str, Any], network: str) -> str:
    """Figures of vertebrae as a row of a table."""
    cells = [estimate_text(metrics["levels"]["vertebrae"]["networks"][network][key]) for key in FIGURES]
    return f"| {name} | {seed} | {' | '.join(cells)} |"


def main() -> None:
    """Train and measure all ablations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--configfile", type=Path, help="of the run; its section metastasis counts")
    parser.add_argument("--further", type=Path, help="results with further patients to test on")
    parser.add_argument("--steps", type=int, help="fewer steps than the settings say")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=WITHOUT, default=list(WITHOUT))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    given = yaml.safe_load(options.configfile.read_text())["metastasis"] if options.configfile else {}
    if options.steps:
        given = given | {"train": given.get("train", {}) | {"steps": options.steps}}
    cohort = read_cohort(options.results)
    usable = cohort.vertebrae.only(cohort.labels["usable"].to_numpy(bool) & (cohort.vertebrae.classes >= 0))
    cohorts = [cohort, others(read_cohort(options.further), cohort)] if options.further else [cohort]
    labels, known = (pd.concat([each[at] for each in cohorts], ignore_index=True) for at in range(2))
    baseline = predictions(options.results / "metastasis" / BASELINE / "weights.safetensors", BASELINE, cohorts)
    device, found = device_of("auto"), {}
    torch.set_num_threads(options.threads)
    for name in options.only:
        for seed in options.seeds:
            settings = settings_with(given, WITHOUT[name])
            place = options.out / f"{name.replace(' ', '-')}-{seed}"
            states = States(
                folder=place / "state", code=code_of("train_bone_quality"), packages=packages_of("train_bone_quality")
            )
            weights, done = place / "weights.safetensors", place / "training.json"
            if not done.is_file():
                shape = shape_of(MULTITASK, settings)
                trained = train_network(usable, shape, settings.train, states, weights, seed, device, options.threads)
                done.write_text(json.dumps(trained))
            whole, slices = predictions(weights, MULTITASK, cohorts)
            metrics = bone_metrics(
                labels, known, {MULTITASK: whole, BASELINE: baseline[0]}, {MULTITASK: slices, BASELINE: baseline[1]},
                EvaluationSettings(), settings.specificity, seed,
            )  # fmt: skip
            found[f"{name}, seed {seed}"] = metrics["levels"]
            print(row_of(f"without: {name}", seed, metrics, MULTITASK), flush=True)
    print(row_of("baseline", seed, metrics, BASELINE))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ablations.json").write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
