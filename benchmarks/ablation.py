"""Does diffusion pay? The DAE against simpler things, trained alike, on the crops of a finished run.

    .venv/bin/python benchmarks/ablation.py results OUT

For each seed every variant (ablation_variants.py) is trained with the same encoder, augmentation, samples and steps;
then all crops are encoded, and the product's hyperplane and calibration grade the test patients, learned from all and
from 10 % of the labelled training patients. Variants that can draw make pictures at other grades by the product's code.
PCA and keypoints are graded again from the run's own latents. Writes OUT/ablation.md and OUT/ablation.json (means over
seeds, paired differences with intervals over patients), and one file per training and stage, so that the same command
goes on where it was stopped. One thread. Results: docs/results/ablation.md.
"""

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ablation_grading import EVERY, Tables, cases_of, compared, grade_variant, grading_metrics, head_grades, latents_of
from ablation_pictures import draw_variant, picture_metrics, read_facts
from ablation_tables import page
from ablation_training import Run, load_variant, read_run, train_variant
from ablation_variants import BASELINES, BY_NAME, OWN, SHARES, VARIANTS, Variant
from vertegrade.files import read_json, write_json, write_text
from vertegrade.graders.dae.weights import load_dae
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.tables import LATENTS, read_tables, write_frame

FIRST = "dae"
log = logging.getLogger("ablation")


@dataclass(frozen=True)
class Plan:
    """What is trained on which run, and how. vertebrae: how many are drawn. out: folder of everything written."""

    run: Run
    seeds: range
    variants: list[Variant]
    model: DaeModelSettings
    train: DaeTrainSettings
    vertebrae: int
    out: Path

    def folder(self, seed: int) -> Path:
        """Of one seed."""
        return self.out / f"seed{seed}"


def make(plan: Plan) -> None:
    """Everything that is missing, seed by seed: first what all seeds are graded by, then the pictures."""
    for seed in plan.seeds:
        for variant in plan.variants:
            make_latents(plan, variant, seed)
        for variant in plan.variants:
            latents = pd.read_parquet(plan.folder(seed) / f"{variant.name}.latents.parquet")
            for share in SHARES:
                if variant.share in (None, share):
                    grade(plan.run, latents, share, seed, plan.folder(seed) / variant.name)
        for name in BASELINES:
            latents = latents_of_baseline(plan.run, name)
            for share in SHARES:
                # all labels are the same in every seed
                folder = plan.folder(seed) if share < 1 else plan.out
                grade(plan.run, latents, share, seed if share < 1 else 0, folder / name)
        report(plan)
    if plan.vertebrae:
        draw_own = partial(draw_variant, plan.run, latents_of_baseline(plan.run, OWN), plan.vertebrae, EVERY)
        own = load_dae(plan.run.results / "dae/weights.safetensors")
        stage(plan.out / f"{OWN}.pictures.json", lambda: draw_own(own, plan.out / OWN))
    for seed in plan.seeds if plan.vertebrae else ():
        for variant in plan.variants:
            if variant.draws:
                make_pictures(plan, variant, seed)
    report(plan)


def latents_of_baseline(run: Run, name: str) -> pd.DataFrame:
    """LATENTS that the run itself made."""
    return read_tables(run.files(f"latents/{'dae' if name == OWN else name}/{{}}.parquet"), LATENTS)


def make_latents(plan: Plan, variant: Variant, seed: int) -> None:
    """Train a variant and encode all crops; of a supervised one also the grades of its head."""
    folder = plan.folder(seed)
    path = folder / f"{variant.name}.latents.parquet"

    def encode() -> None:
        dae = load_variant(plan.run, variant, plan.model, plan.train, folder)
        latents = latents_of(plan.run, dae)
        if variant.kind == "supervised":
            write_frame(folder / f"{variant.name}.head.parquet", head_grades(dae, latents))
        write_frame(path, latents)

    training = folder / f"{variant.name}.json"
    stage(training, lambda: train_variant(plan.run, variant, seed, plan.model, plan.train, folder))
    stage(path, encode)


def make_pictures(plan: Plan, variant: Variant, seed: int) -> None:
    """Draw test vertebrae at other grades, and measure them."""
    stem = plan.folder(seed) / variant.name

    def draw() -> None:
        latents = pd.read_parquet(stem.with_name(f"{stem.name}.latents.parquet"))
        dae = load_variant(plan.run, variant, plan.model, plan.train, stem.parent)
        draw_variant(plan.run, latents, plan.vertebrae, seed, dae, stem)

    stage(stem.with_name(f"{stem.name}.pictures.json"), draw)


def grade(run: Run, latents: pd.DataFrame, share: float, seed: int, stem: Path) -> None:
    """Grade by the labels of a share of the patients, unless that was done."""
    stem = stem.with_name(graded_name(stem.name, share))
    stage(stem.with_name(f"{stem.name}.grades.parquet"), lambda: grade_variant(run, latents, share, seed, stem))


def graded_name(name: str, share: float) -> str:
    """Name of the files of a variant that was graded by a share of the labels."""
    return f"{name}-{share * 100:.0f}"


def stage(path: Path, work: Callable[[], None]) -> None:
    """Do the work unless its last file is there."""
    if path.exists():
        return
    started = time.monotonic()
    work()
    log.info("%s: %.0f s", path, time.monotonic() - started)


def graded_tables(plan: Plan, share: float) -> Tables:
    """Grades that a share of the labels taught, as far as they were made; of all seeds, not only those of the plan."""
    found: Tables = {}
    for variant in VARIANTS:
        if variant.share in (None, share):
            found[variant.name] = tables_of(plan, f"{graded_name(variant.name, share)}.grades")
        if variant.share == share:
            found[f"{variant.name}, head"] = tables_of(plan, f"{variant.name}.head")
    for name in BASELINES:
        stem = graded_name(name, share)
        every = plan.out / f"{stem}.grades.parquet"
        if share < 1:
            found[name] = tables_of(plan, f"{stem}.grades")
        elif every.exists():
            found[name] = {EVERY: pd.read_parquet(every)}
    return {name: tables for name, tables in found.items() if tables}


def tables_of(plan: Plan, name: str, beside: str = ".parquet") -> dict[int, pd.DataFrame]:
    """The tables of this name in the folders of all seeds, where the last file of their stage is there."""
    folders = sorted(plan.out.glob("seed*"), key=lambda folder: int(folder.name.removeprefix("seed")))
    files = {int(folder.name.removeprefix("seed")): folder / f"{name}.parquet" for folder in folders}
    return {seed: pd.read_parquet(path) for seed, path in files.items() if path.with_suffix(beside).exists()}


def report(plan: Plan) -> None:
    """Write the figures of all that was made so far."""
    figures: dict[str, Any] = read_json(plan.out / "settings.json")
    for share in SHARES:
        cases = cases_of(plan.run, graded_tables(plan, share))
        figures[f"grading_{share * 100:.0f}"] = compared(cases, grading_metrics, FIRST)
        rows = next(iter(cases[FIRST].values()))
        figures["test"] = {"vertebrae": len(rows), "patients": rows["patient_id"].nunique()}
    drawn = {v.name: tables_of(plan, f"{v.name}.pictures", beside=".json") for v in VARIANTS}
    if (plan.out / f"{OWN}.pictures.json").exists():
        drawn[OWN] = {EVERY: pd.read_parquet(plan.out / f"{OWN}.pictures.parquet")}
    drawn = {name: tables for name, tables in drawn.items() if tables}
    if FIRST in drawn:
        figures["pictures"] = compared(drawn, picture_metrics, FIRST)
        figures["picture_facts"] = {
            name: [read_facts((plan.folder(seed) if seed != EVERY else plan.out) / name) for seed in tables]
            for name, tables in drawn.items()
        }
    trained = {v.name: sorted(plan.out.glob(f"seed*/{v.name}.json")) for v in VARIANTS}
    figures["trainings"] = {name: [read_json(path) for path in paths] for name, paths in trained.items() if paths}
    write_json(plan.out / "ablation.json", figures)
    write_text(plan.out / "ablation.md", page(figures))
    log.info("%s", plan.out / "ablation.md")


def same_settings(out: Path, settings: dict[str, object]) -> None:
    """Note the settings in OUT; ValueError where what lies there was made with others."""
    path = out / "settings.json"
    if path.exists() and (found := read_json(path)) != settings:
        raise ValueError(f"{out} holds results of other settings ({found}, now {settings}); name another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, settings)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results folder of a finished run")
    parser.add_argument("out", type=Path, help="folder of everything that is written")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each variant (default 3)")
    parser.add_argument("--steps", type=int, default=500, help="optimiser steps of each training (default 500)")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32", help="of products in all trainings"
    )
    parser.add_argument("--only", nargs="+", choices=sorted(BY_NAME), help="variants to train beside the DAE")
    parser.add_argument("--vertebrae", type=int, default=24, help="test vertebrae that are drawn; 0: no pictures")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    settings = {name: getattr(given, name) for name in ("steps", "precision", "vertebrae")}
    settings |= {"results": str(given.results)}
    same_settings(given.out, settings)
    variants = [v for v in VARIANTS if not given.only or v.name in {FIRST, *given.only}]
    train = DaeTrainSettings(steps=given.steps, precision=given.precision)
    seeds = range(1, given.seeds + 1)
    make(Plan(read_run(given.results), seeds, variants, DaeModelSettings(), train, given.vertebrae, given.out))


if __name__ == "__main__":
    main()
