"""The code that runs is the code that was hashed: other clones, edits while a run works, states of trainings."""

import json
from pathlib import Path

import pytest

from helpers.dae_job import training_job
from helpers.runs import Config, clone, snakemake
from helpers.tiny_dae import MODEL, TRAIN
from vertegrade.files import sha256_of
from vertegrade.workflow.code_hash import code_digests, code_of

# Runs in every job's process, before anything of it; `sys.argv` is not yet there.
AT_A_JOB = """
import sys
if "/.snakemake/scripts/" in " ".join(sys.orig_argv):
    {}
"""


@pytest.fixture
def sheet(tmp_path: Path) -> Config:
    """Config of a scan that is not there: its conversion is a job of no work."""
    (tmp_path / "sheet.csv").write_text("scan_id,patient_id,path\na,p,nowhere\n")
    return {"cohort": {"sheet": str(tmp_path / "sheet.csv"), "shards": 1}}


def at_each_job(folder: Path, line: str) -> str:
    """PYTHONPATH with which each job first runs a line of Python."""
    (folder / "site").mkdir()
    (folder / "site/sitecustomize.py").write_text(AT_A_JOB.format(line))
    return str(folder / "site")


def edit(module: Path) -> None:
    module.write_text(module.read_text(encoding="utf-8") + "\nMORE = 1\n", encoding="utf-8")


def test_another_clone_in_pythonpath_changes_nothing(tmp_path: Path, sheet: Config) -> None:  # A3
    mine, theirs = clone(tmp_path / "mine"), clone(tmp_path / "theirs") / "workflow_scripts"
    edit(theirs / "vertegrade/ct/convert.py")
    there = {"PYTHONPATH": str(theirs)}
    run = snakemake(tmp_path, "--cores", "1", "results/ct/0.parquet", config=sheet, root=mine, **there)
    assert run.returncode == 0, run.stderr[-4000:]
    made = json.loads((tmp_path / "results/manifest/convert/0.json").read_text())
    assert made["code"] == code_digests("convert")


def test_a_job_that_loads_another_clones_code_refuses(tmp_path: Path, sheet: Config) -> None:  # A3
    mine, theirs = clone(tmp_path / "mine"), clone(tmp_path / "theirs") / "workflow_scripts"
    path = at_each_job(tmp_path, f"sys.path.insert(0, {str(theirs)!r})")
    same = snakemake(tmp_path, "--cores", "1", "results/ct/0.parquet", config=sheet, root=mine, PYTHONPATH=path)
    assert same.returncode == 0, same.stderr[-4000:]  # the same code, wherever it lies
    edit(theirs / "vertegrade/ct/convert.py")
    again = ("--cores", "1", "--force", "results/ct/0.parquet")
    other = snakemake(tmp_path, *again, config=sheet, root=mine, PYTHONPATH=path)
    assert other.returncode != 0
    told = (tmp_path / "logs/convert/0.log").read_text()
    assert f"CodeError: convert: jobs would run the code in {theirs}, not this workflow's in {mine}/work" in told


def test_an_edit_while_the_run_works_stops_the_jobs_that_it_concerns(tmp_path: Path, sheet: Config) -> None:  # A3
    mine = clone(tmp_path / "mine")
    module = mine / "workflow_scripts/vertegrade/ct/convert.py"
    path = at_each_job(tmp_path, f"open({str(module)!r}, 'a').write('MORE = 1')")
    run = snakemake(tmp_path, "--cores", "1", "results/ct/0.parquet", config=sheet, root=mine, PYTHONPATH=path)
    assert run.returncode != 0
    told = (tmp_path / "logs/convert/0.log").read_text()
    assert f"convert: its code in {mine}/workflow_scripts was changed after this run was started; start snake" in told
    run = snakemake(tmp_path, "--cores", "1", "results/ct/0.parquet", config=sheet, root=mine)
    assert run.returncode == 0, run.stderr[-4000:]


def test_edited_training_code_trains_anew(tmp_path: Path, sheet: Config) -> None:  # A1
    made = training_job(tmp_path / "made")
    for path, place in {made.crops[0]: "crops", made.pixels[0]: "crops", made.splits: "cohort"}.items():
        (tmp_path / "results" / place).mkdir(parents=True, exist_ok=True)
        path.rename(tmp_path / "results" / place / path.name)
    mine, weights = clone(tmp_path / "mine"), tmp_path / "results/dae/weights.safetensors"
    config = sheet | {"dae": {"model": MODEL.model_dump(), "train": TRAIN.model_dump()}, "run": {"device": "cpu"}}
    config["crop"] = {"size": 16, "slices": 3, "pixel_mm": 3.0}

    def trained() -> str:
        """What the log of the training says; other rules do not run, so their results may be anything."""
        target = ("results/dae/weights.safetensors", "--allowed-rules", "train_dae")
        run = snakemake(tmp_path, "--cores", "1", *target, config=config, root=mine)
        assert run.returncode == 0, run.stderr[-4000:]
        return (tmp_path / "logs/train_dae.log").read_text()

    assert "starting from the beginning" in trained()
    before = sha256_of(weights)
    module = mine / "workflow_scripts/vertegrade/graders/dae/training.py"
    text = module.read_text(encoding="utf-8")
    assert "* rate_share" in text
    module.write_text(text.replace("* rate_share", "* 0.9 * rate_share"))
    told = trained()
    assert "starting from nothing: the state in results/dae/state is of other code" in told
    assert "resumed" not in told
    assert sha256_of(weights) != before
    assert len(list((tmp_path / "results/dae/state").iterdir())) == 1


def test_a_cluster_job_compares_with_the_code_at_the_runs_start(tmp_path: Path, sheet: Config) -> None:  # A3
    # As the SLURM plugin starts a job: it reads the workflow anew, with the environment of the Snakemake that sent it.
    job = ("--cores", "1", "--target-jobs", "convert:shard=0", "--allowed-rules", "convert", "--mode", "remote")
    late = snakemake(tmp_path, *job, config=sheet, VERTEGRADE_CODE_OF_convert="0123456789abcdef")
    assert late.returncode != 0
    told = (tmp_path / "logs/convert/0.log").read_text()
    assert "convert: its code in" in told
    assert "was changed after this run was started" in told
    run = snakemake(tmp_path, *job, config=sheet, VERTEGRADE_CODE_OF_convert=code_of("convert"))
    assert run.returncode == 0, run.stderr[-4000:]


def test_an_edited_localizer_trains_anew_on_new_samples(tmp_path: Path, sheet: Config) -> None:  # A1
    mine = clone(tmp_path / "mine")
    steps = {"scans": 1, "refiner_steps": 1, "detector_steps": 1, "centreline_steps": 1}
    config = sheet | {"train_localizer": dict[str, object](steps), "run": {"device": "cpu"}}

    def trained() -> str:
        run = snakemake(tmp_path, "--cores", "1", "train_localizer", config=config, root=mine)
        assert run.returncode == 0, run.stderr[-4000:]
        return (tmp_path / "logs/train_localizer.log").read_text()

    assert "samples: 1 of 1" in trained()
    edit(mine / "workflow_scripts/vertegrade/localizer/samples.py")
    told = trained()
    assert "starting from nothing: the state in results/localizer/state is of other code" in told
    assert "samples: 1 of 1" in told
    assert "resumed" not in told
    assert len(list((tmp_path / "results/localizer/state").iterdir())) == 1
