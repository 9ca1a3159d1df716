"""Disk, GPU, models, tools and the SLURM profile, each against a machine that lacks it."""

import importlib.util
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vertegrade.cohort.sheet import ScanRow
from vertegrade.preflight.machine import OVERHEAD_MB, check_machine, needed_mb
from vertegrade.preflight.slurm import check_profile
from vertegrade.preflight.start import start_problems
from vertegrade.settings.loading import check_settings

ROOT = Path(__file__).resolve().parents[2]


def problems_of(tmp_path: Path, rows: list[ScanRow] | None = None, **sections: dict[str, Any]) -> list[str]:
    run = {"results": str(tmp_path / "results"), "logs": str(tmp_path / "logs")} | sections.pop("run", {})
    return check_machine(check_settings({"run": run} | sections), rows or [], cluster=False)


def test_disk_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan/1.dcm").write_bytes(bytes(1_000_000))
    rows = [ScanRow("a", "p", str(tmp_path / "scan"))]
    settings = check_settings({"crop": {"size": 64, "slices": 5}})
    assert needed_mb(settings, rows) == pytest.approx(OVERHEAD_MB + 2 + 64 * 64 * 5 * 2 * 20 / 1e6)
    assert problems_of(tmp_path, rows) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100e6))
    (problem,) = problems_of(tmp_path, rows)
    assert problem.endswith("results: 100 MB are free, up to 503 MB are needed; free some")


def test_results_where_nobody_may_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (problem,) = problems_of(tmp_path, run={"results": str(tmp_path / "file/results")})
    assert f"{tmp_path}/file is no folder that you may write to" in problem


def test_results_in_a_folder_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    told = problems_of(tmp_path)
    assert [problem.split(" = ")[0] for problem in told] == ["run.results", "run.logs"]


def test_a_tool_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = problems_of(tmp_path, localize={"method": "spineps"})
    assert problem.startswith("localize.method = spineps: no spineps on the PATH; ")


def test_no_gpu_where_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (problem,) = problems_of(tmp_path, run={"device": "cuda"})
    assert problem.startswith("run.device = cuda: torch sees no GPU here; use `auto` or `cpu`")
    settings = check_settings({"run": {"device": "cuda", "results": str(tmp_path / "r"), "logs": str(tmp_path / "l")}})
    assert check_machine(settings, [], cluster=True) == []


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which SLURM's programs tell of a partition `cpu` and a partition `gpu` with GPUs."""
    for name, text in (("sinfo", "cpu|(null)\\ngpu|gpu:a100:4\\n"), ("sbatch", "")):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "{text}"\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def profile(folder: Path, text: str) -> str:
    (folder / "mine").mkdir()
    (folder / "mine/profile.yaml").write_text(text)
    return str(folder / "mine")


def test_the_shipped_profile_fits_such_a_cluster(cluster: Path) -> None:
    assert check_profile(str(ROOT / "slurm"), "auto") == []


def test_partitions_that_are_not_there_or_have_no_gpu(cluster: Path) -> None:
    text = "executor: slurm\ndefault-resources: [slurm_partition=cpu]\nset-resources:\n"
    mine = profile(cluster, text + "  encode: {slurm_partition: gpu}\n  train_dae: {slurm_partition: big}\n")
    told = check_profile(mine, "auto")
    assert [problem.split("profile.yaml: ")[1] for problem in told] == [
        "partition 'big' is not on this cluster; it has cpu, gpu",
        "localize asks for a GPU, partition 'cpu' has none; name another, or set run.device: cpu",
        "fit_steps asks for a GPU, partition 'cpu' has none; name another, or set run.device: cpu",
        "counterfactual asks for a GPU, partition 'cpu' has none; name another, or set run.device: cpu",
        "looks_at asks for a GPU, partition 'cpu' has none; name another, or set run.device: cpu",
    ]
    assert len(check_profile(mine, "cpu")) == 1


def test_a_method_that_is_asked_for_needs_its_gpu_too(cluster: Path) -> None:
    text = "executor: slurm\ndefault-resources: [slurm_partition=gpu]\nset-resources:\n"
    mine = profile(cluster, text + "  train_supervised: {slurm_partition: cpu}\n")
    assert check_profile(mine, "auto", ["dae"]) == []
    (problem,) = check_profile(mine, "auto", ["dae", "supervised"])
    assert "train_supervised asks for a GPU, partition 'cpu' has none" in problem


def test_patches_count_where_a_method_sees_them(tmp_path: Path) -> None:
    rows = [ScanRow("a", "p", "nowhere")]
    config = {"methods": ["dae", "supervised"], "supervised": {"model": {"network": "seresnet"}}}
    with_patches = needed_mb(check_settings(config), rows) - needed_mb(check_settings({"methods": ["dae"]}), rows)
    assert with_patches == pytest.approx(48**3 * 2 * 2 * 20 / 1e6)
    for trained, taken in (("keypoints", 0), ("supcon", with_patches)):  # of all methods, those of a model alone grade
        (tmp_path / trained / "grading" / trained).mkdir(parents=True)
        given = check_settings({"methods": "all", "run": {"model": str(tmp_path / trained)}})
        assert needed_mb(given, rows) - needed_mb(check_settings({}), rows) == pytest.approx(taken)
    seen = {"supervised": {"model": {"network": "seresnet", "bodies": "level"}}, "patches": {"bodies": False}}
    assert start_problems(check_settings(seen), []) == []
    (problem,) = start_problems(check_settings(seen | {"methods": ["dae", "supervised"]}), [])
    assert "patches.bodies is false" in problem


def test_slurm_that_is_not_here_or_does_not_answer(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = profile(cluster, "executor: slurm\n")
    (cluster / "sinfo").write_text("#!/bin/sh\nexit 1\n")
    assert check_profile(mine, "auto") == ["sinfo fails (CalledProcessError); is SLURM's controller up?"]
    monkeypatch.setenv("PATH", str(cluster / "none"))
    (problem,) = check_profile(mine, "auto")
    assert problem.startswith("sbatch, sinfo: not on the PATH")


@pytest.mark.parametrize(("text", "told"), [("a: [", "cannot be read (ParserError)"), ("- 1", "contains no keys")])
def test_profiles_that_are_none(text: str, told: str, tmp_path: Path) -> None:
    (problem,) = check_profile(profile(tmp_path, text), "auto")
    assert told in problem


def test_a_profile_that_is_not_there_and_one_of_another_executor(tmp_path: Path) -> None:
    assert "cannot be read (FileNotFoundError)" in check_profile(str(tmp_path / "none"), "auto")[0]
    assert check_profile(profile(tmp_path, "cores: 2\n"), "auto") == []


def test_a_size_is_that_of_the_file_or_nothing_where_it_cannot_be_known(tmp_path: Path) -> None:
    (tmp_path / "scan.nii").write_bytes(bytes(1_000_000))
    settings = check_settings({"crop": {"size": 64, "slices": 5}})
    crops = 64 * 64 * 5 * 2 * 20 / 1e6
    for path, size in ((tmp_path / "scan.nii", 2), (tmp_path / ("x" * 300), 0)):
        assert needed_mb(settings, [ScanRow("a", "p", str(path))]) == pytest.approx(OVERHEAD_MB + size + crops)


def test_packages_that_are_not_installed(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (problem,) = problems_of(cluster, run={"device": "cuda"})
    assert problem.startswith("run.device = cuda: torch is not installed")
    (problem,) = check_profile(profile(cluster, "executor: slurm\n"), "cpu")
    assert problem.startswith("snakemake-executor-plugin-slurm is not installed")


def test_a_profile_of_other_bytes_and_a_sinfo_that_is_no_program(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(cluster))
    (cluster / "sinfo").write_text("#!/nowhere/sh\n")
    (problem,) = check_profile(profile(cluster, "executor: slurm\n"), "auto")
    assert problem.startswith("sinfo fails (FileNotFoundError)")
    (cluster / "mine/profile.yaml").write_bytes("# ä".encode("latin-1"))
    (problem,) = check_profile(str(cluster / "mine"), "auto")
    assert "cannot be read (UnicodeDecodeError)" in problem


def test_pages_that_no_browser_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = problems_of(tmp_path, report={"pdf": True})
    assert problem.startswith("report.pdf: none of chromium, chromium-browser, google-chrome")
    assert problems_of(tmp_path) == []
