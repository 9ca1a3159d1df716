"""The measurements that wait for a GPU run from end to end on a CPU, with narrow networks and few crops."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def ran(program: str, *arguments: str) -> str:
    """What a benchmark prints."""
    command = [sys.executable, f"benchmarks/{program}.py", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.slow
def test_gpu_quick(tmp_path: Path) -> None:
    page = ran("gpu", str(tmp_path), "--quick", "--device", "cpu")
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert page.strip() == (tmp_path / "gpu.md").read_text().strip()
    found = {(row["network"], row["way"]) for row in report["training"]}
    ways = ("float32", "bfloat16", "bfloat16, channels-last, fused")
    assert found == {(network, way) for network in ("dae64", "dae128", "demo") for way in ways}
    assert all(row["steps"] == 2 and row["steps_per_s"] > 0 and row["bad_steps"] == 0 for row in report["training"])
    assert [row["largest_difference_after_resume"] for row in report["resumed"]] == [0]
    assert report["left_out"] == []


def test_gpu_needs_no_package_that_a_bare_machine_lacks() -> None:
    """Of the packages that are not the standard library, only those that the docstring names are imported."""
    code = (
        "import runpy, sys; sys.argv = ['gpu.py', '--help']\n"
        "try: runpy.run_path('benchmarks/gpu.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "lacking = {'pandas', 'pandera', 'sklearn', 'scipy', 'pyarrow', 'snakemake', 'nibabel', 'pydicom'}"
        "\nsys.exit(' '.join(sorted(lacking & {*sys.modules})) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crops")


@pytest.mark.parametrize("job", ["train_pca", "encode_pca", pytest.param("train_dae", marks=pytest.mark.slow)])
def test_memory_of_few_crops(job: str, crops: Path) -> None:
    found: dict[str, Any] = json.loads(ran("crops_memory", str(crops), job, "--crops", "520", "--size", "32"))
    assert found["ended"] == "0"
    assert 30 < found["RssAnon"] < found["VmHWM"]
    assert os.path.getsize(crops / "0000.npy") == 128 + 250 * 5 * 32 * 32 * 2
