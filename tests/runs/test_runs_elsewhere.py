"""Not one person in one clone: another user's clone that cannot be written, two users of a run, no home, a module."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.runs import ROOT, plain_environment

OTHER_USER = 54321
# Root without its capabilities is a user like others, who may not write what OTHER_USER has.
AS_A_USER = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
CONFIG = "run: {results: mine}\nphantom: {patients: 6}\ncohort: {shards: 4}\nlocalize: {method: provided}\n"
MODULE = """
configfile: "all.yaml"
module vertegrade:
    snakefile: "CLONE/Snakefile"
    config: config["vertegrade"]
use rule * from vertegradeRENAMED
rule everything:
    default_target: True
    input: "mine/evaluation/dae/metrics.json"
"""
two_users = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root, with setpriv, can be two users"
)


def clone(folder: Path) -> Path:
    """The project's files as a clone has them."""
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, run.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def give(folder: Path, user: int) -> None:
    """Let a folder and all in it belong to another user, and to the same group."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, -1, follow_symlinks=False)


def snakemake(folder: Path, *arguments: str, user: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
    """`snakemake` typed in a folder, with the group's umask."""
    return subprocess.run(
        [*(AS_A_USER if user else []), sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        cwd=folder,
        env=plain_environment() | variables,
        capture_output=True,
        text=True,
        timeout=1500,
        umask=0o002,
    )


def said(run: subprocess.CompletedProcess[str], status: int = 0) -> str:
    text = run.stdout + run.stderr
    assert run.returncode == status, text[-6000:]
    return text


@two_users
def test_two_users_without_a_home_share_a_run_of_a_read_only_clone(tmp_path: Path) -> None:  # field test B10
    root, home, work = clone(tmp_path / "clone"), tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (work / "mine.yaml").write_text(CONFIG)
    give(root, OTHER_USER)
    give(home, OTHER_USER)
    before = sorted(root.rglob("*"))
    typed = ["--snakefile", str(root / "Snakefile"), "--directory", str(work), "--configfile", str(work / "mine.yaml")]
    said(snakemake(root, *typed, "--", "mine/ct/0.parquet", user=True, HOME=str(home)))
    give(work, OTHER_USER)  # what one user made, the other goes on with
    said(snakemake(root, *typed, "--", "mine/measurements/0.parquet", user=True, HOME=str(home)))
    assert sorted(root.rglob("*")) == before
    assert {path.stat().st_uid for path in (work / "mine").rglob("*.parquet")} == {0, OTHER_USER}
    private = [path for path in (work / "mine").rglob("*") if not stat.S_IMODE(path.stat().st_mode) & stat.S_IRGRP]
    assert private == []
    assert (work / "mine/logs/convert/0.log").is_file()
    assert not (work / "logs").exists()


def test_another_workflow_uses_this_one_as_a_module(tmp_path: Path) -> None:  # field test B10
    (tmp_path / "Snakefile").write_text(MODULE.replace("CLONE", str(ROOT)).replace("RENAMED", ""))
    (tmp_path / "all.yaml").write_text("vertegrade:\n" + "".join(f"  {line}\n" for line in CONFIG.splitlines()))
    assert "train_dae" in said(snakemake(tmp_path, "-n"))
    said(snakemake(tmp_path, "--", "mine/ct/0.parquet"))
    assert (tmp_path / "mine/manifest/convert/0.json").is_file()


def test_rules_of_a_module_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(MODULE.replace("CLONE", str(ROOT)).replace("RENAMED", " as its_*"))
    (tmp_path / "all.yaml").write_text("vertegrade: {}\n")
    assert "write `use rule * from vertegrade` without `as`" in said(snakemake(tmp_path, "-n"), 1)


def test_another_workflow_includes_this_one(tmp_path: Path) -> None:  # field test B10
    (tmp_path / "Snakefile").write_text(f'include: "{ROOT}/Snakefile"\n')
    (tmp_path / "mine.yaml").write_text(CONFIG)
    text = said(snakemake(tmp_path, "-n", "--configfile", "mine.yaml", "--", "all"))
    assert "mine/logs/train_dae.log" in text


def test_two_results_folders_share_no_log(tmp_path: Path) -> None:  # field test B10
    logs = []
    for name in ("one", "two"):
        entry = f"run={{results: {tmp_path}/{name}}}"
        text = said(snakemake(ROOT, "-n", "--config", entry, "--", f"{tmp_path}/{name}/phantom/0/truth.parquet"))
        logs += [line.split()[1] for line in text.splitlines() if line.strip().startswith("log: ")]
    assert logs == [f"{tmp_path}/{name}/logs/phantom/0.log" for name in ("one", "two")]
