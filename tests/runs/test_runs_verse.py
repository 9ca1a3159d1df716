"""VerSe from the download to the grades, by the lines of docs/how-to/verse.md, on a release made of PHANTOMS."""

import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from helpers.runs import ROOT, TINY, plain_environment
from helpers.verse_release import OF_2019, OF_2020, write_release
from vertegrade.methods import METHODS as ALL_METHODS
from vertegrade.patches.cut import patch_shape
from vertegrade.settings import Settings
from vertegrade.settings.loading import check_settings
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.tables import LABELS, PATIENT_SPLITS, PREDICTIONS, SCANS, read_table, read_tables

pytestmark = pytest.mark.slow

HOW_TO = (ROOT / "docs/how-to/verse.md").read_text(encoding="utf-8")
METHODS = ["dae", "keypoints"]
# What makes hours into a minute; the networks that are trained on grades have runs of their own.
QUICK: dict[str, Any] = {
    "run": {"device": "cpu"},
    "methods": METHODS,
    "cohort": {"shards": 1},
    "compare": {"label_draws": 1},
    "dae": {"train": {"steps": 2}, "counterfactual": {"vertebrae": 2, "rounds": 1, "render_steps": 2}},
}
SPLIT_OF = {"training": "train", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Run:
    """A finished run in `folder`, and what `make index` and `make check-cohort` printed."""

    folder: Path
    index: str
    check: str


def typed(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=plain_environment(), capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


def vertegrade(folder: Path, *arguments: str) -> str:
    """What `make index` and `make check-cohort` run."""
    return typed(folder, sys.executable, "-m", "vertegrade.commands", *arguments)


def snakemake(folder: Path, presets: list[str], *arguments: str) -> str:
    start = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1"]
    return typed(folder, *start, "--configfile", *presets, *arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("verse")
    write_release(folder / "verse", PhantomSettings())
    index = vertegrade(folder, "index", "verse", "--sheet", "verse/scans.csv")
    (folder / "quick.yaml").write_text(yaml.safe_dump(QUICK), encoding="utf-8")
    presets = [str(TINY), str(ROOT / "presets/verse.yaml"), "quick.yaml"]
    check = vertegrade(folder, "check", *presets)
    snakemake(folder, presets, "--", "all", "compare")
    return Run(folder, index, check)


@pytest.fixture(scope="module")
def results(run: Run) -> Path:
    return run.folder / "results/verse"


def test_every_series_is_graded_once(run: Run, results: Path) -> None:
    scans = read_tables(sorted((results / "ct").glob("*.parquet")), SCANS)
    series = [f"verse{number:03d}" for _, number, _ in OF_2019] + [name for name, _ in OF_2020]
    assert sorted(scans["scan_id"]) == sorted(series)
    assert set(scans["state"]) == {"done"}
    left_out = json.loads((run.folder / "verse/scans.index.json").read_text())["left_out"]
    named = [item["path"] for item in left_out if item["reason"] == "same_name"]
    assert [Path(path).name for path in named] == ["sub-verse008_ct.nii.gz"]  # "challenge2020" comes first


def test_the_official_split_holds_and_no_subject_is_in_two(results: Path) -> None:
    splits = read_table(results / "cohort/splits.tsv", PATIENT_SPLITS)
    assert splits["patient_id"].is_unique
    official = {f"verse{subject:03d}": SPLIT_OF[folder] for subject, _, folder in OF_2019}
    official |= {name: SPLIT_OF[folder] for name, folder in OF_2020}
    assert dict(zip(splits["patient_id"], splits["split"], strict=True)) == official
    assert set(splits["origin"]) == {"given"}


def test_excluded_entries_are_left_out_with_their_reason(results: Path) -> None:
    labels = read_table(results / "cohort/labels.parquet", LABELS)
    excluded = labels[~labels["usable"]]
    assert list(zip(excluded["scan_id"], excluded["reason"], strict=True)) == [("verse004", "foreign_material")]
    assert not set(labels["scan_id"]) & {name for name, _ in OF_2020}  # nobody published their grades


@pytest.mark.parametrize("method", METHODS)
def test_each_method_grades_the_test_subjects(results: Path, method: str) -> None:
    graded = read_table(results / f"predictions/{method}.parquet", PREDICTIONS)
    assert set(graded.loc[graded["split"] == "test", "patient_id"]) == {"verse012", "verse020", "verse504"}
    metrics = json.loads((results / f"evaluation/{method}/metrics.json").read_text())
    assert metrics["splits"]["test"]["counts"]["vertebrae_evaluated"] > 0


def test_it_ends_in_the_comparison(results: Path) -> None:
    rows = pd.read_csv(results / "compare/comparison.csv")
    assert set(METHODS) <= set(rows.loc[rows["data"] == "this run", "method"])
    assert (results / "compare/comparison.html").stat().st_size > 10_000


def presets_of_the_lines() -> list[str]:
    """The config files that the how-to names, the same ones in each line."""
    lines = re.findall(r"^\.venv/bin/snakemake .*?--configfile ((?:\S+\.yaml ?)+)", HOW_TO, re.M)
    (names,) = {tuple(line.split()) for line in lines}
    return [str(ROOT / name) for name in names]


def settings_of(*presets: str) -> Settings:
    """What Snakemake makes of these config files in their order."""
    config: dict[str, Any] = {}
    for preset in presets:
        update_config(config, yaml.safe_load(Path(preset).read_text(encoding="utf-8")))
    return check_settings(config)


def test_the_order_of_the_lines_presets_leaves_each_network_its_published_size() -> None:
    settings = settings_of(*presets_of_the_lines())
    assert settings.methods == "all"
    for name, preset in (
        *((name, f"{name}_published") for name in ("supervised", "supcon", "seq2seq")),
        ("patches", "supcon_published"),
        ("dae", "dae64"),
        ("crop", "dae64"),
    ):
        alone = settings_of(str(ROOT / f"presets/{preset}.yaml"))
        assert getattr(settings, name) == getattr(alone, name) != getattr(Settings(), name), name


def test_the_disk_that_the_how_to_names_is_that_of_its_settings() -> None:
    settings = settings_of(*presets_of_the_lines())
    patch, crop = 2 * math.prod(patch_shape(settings.patches)), settings.crop
    assert f"{patch:,} bytes per vertebra, {3548 * patch / 1e9:.1f} GB for 3,548 vertebrae" in HOW_TO
    of_crop = 2 * crop.slices * crop.size**2
    assert f"{of_crop:,} bytes per vertebra, {3548 * of_crop / 1e9:.2f} GB" in HOW_TO
    assert f"{2 * settings.seq2seq.spine.size**2:,} bytes per mm of spine" in HOW_TO
    usual = 2 * math.prod(patch_shape(Settings().patches))
    assert f"a patch has {usual:,} bytes, {3548 * usual / 1e9:.1f} GB in all" in " ".join(HOW_TO.split())


def test_the_lines_of_the_how_to_are_planned_with_the_published_sizes(run: Run) -> None:
    plan = snakemake(run.folder, presets_of_the_lines(), "-n", "--quiet", "rules", "--", "all", "compare")
    rules = set(re.findall(r"^(\w+) +\d+$", plan, re.M))
    trained = {f"train_{name}" for name, method in ALL_METHODS.items() if method.weights}
    assert trained | {"straight_spines", "compare"} <= rules


def test_no_network_sees_a_test_subject(results: Path) -> None:
    training = json.loads((results / "dae/training.json").read_text())
    subjects = {subject for subject, _, folder in OF_2019 if folder == "training"}
    assert training["patients"] == len(subjects) + sum(folder == "training" for _, folder in OF_2020)


def test_tables_of_both_releases_say_the_same(run: Run) -> None:
    sheet = pd.read_csv(run.folder / "verse/scans.csv", dtype=str).fillna("")
    assert sheet.loc[sheet["scan_id"] == "verse504", "centroids"].tolist() == [""]  # millimetres are not used
    assert (sheet["mask"] != "").all()
    assert sheet.groupby("patient_id")["split"].nunique().max() == 1
    assert "millimetres" in (run.folder / "verse/scans.index.json").read_text()
    assert "no problem found" in run.check
