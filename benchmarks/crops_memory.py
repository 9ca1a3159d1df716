"""Memory of the jobs that learn from all crops of a large cohort, or encode them: it must not grow with the crops.

    .venv/bin/python benchmarks/crops_memory.py FOLDER train_dae
    .venv/bin/python benchmarks/crops_memory.py FOLDER train_pca --at-most 600

Writes fake crops into the empty FOLDER as rule `crop` writes them, in shards of 250: sparse files with a page of noise
in each crop, so that 100,000 crops of 128 px and five slices, 16 GB, take 0.4 GB of the disk. Then it runs the
library's part of the job in a process of its own, and looks at its memory every 20 ms. Printed are the largest
anonymous memory (RssAnon), which the job needs, and the largest with mapped files (VmHWM), which the kernel takes back
when others need it. A job that takes longer than --at-most seconds is ended. Results: docs/results/benchmarks.md.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vertegrade.arrays import read_array
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.training_job import DaeTrainingJob
from vertegrade.graders.pca import encode_pca, fit_pca, save_pca
from vertegrade.graders.taught import crops_of_split
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.tables import CROPS, PATIENT_SPLITS, read_table, write_table
from vertegrade.training.states import States

SHARD, SLICES, WINDOW = 250, 5, (0.0, 400.0)


def write_crops(folder: Path, count: int, size: int) -> None:
    """Tables and arrays of the shards, and splits: nine patients of ten to train on, one to validate."""
    names = [f"P{n // SHARD:04d}" for n in range(count)]
    for start in range(0, count, SHARD):
        length = min(SHARD, count - start)
        shape = (length, SLICES, size, size)
        array = np.lib.format.open_memmap(folder / f"{start // SHARD:04d}.npy", "w+", np.int16, shape)
        noise = np.random.default_rng(start).integers(0, 400, (length, 2048), np.int16)
        array.reshape(length, -1)[:, array[0].size // 2 :][:, :2048] = noise[:, : array[0].size // 2]
        array.flush()
        table = {"patient_id": names[start], "scan_id": f"{names[start]}-1", "vertebra": 1, "crop": np.arange(length)}
        crops = pd.DataFrame(table).assign(vertebra=1 + np.arange(length) % 25, inside_fraction=1.0)
        crops["scan_id"] += [f"-{n // 25}" for n in range(length)]
        crops = crops.assign(slice_thickness_mm=1.0, evaluable=True, reason="")
        write_table(folder / f"{start // SHARD:04d}.parquet", crops, CROPS)
    patients = sorted(set(names))
    splits = ["validation" if n % 10 == 9 else "train" for n in range(len(patients))]
    table = pd.DataFrame({"patient_id": patients, "split": splits, "origin": "given"})
    write_table(folder / "splits.tsv", table, PATIENT_SPLITS)


def files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Tables and arrays, in the same order."""
    return sorted(folder.glob("*.parquet")), sorted(folder.glob("*.npy"))


def train_dae(folder: Path) -> None:
    """Ten steps of the demo's networks on these crops, as the rule trains them."""
    tables, arrays = files(folder)
    DaeTrainingJob(
        crops=tables, pixels=arrays, splits=folder / "splits.tsv", crop_settings={}, model=DaeModelSettings(),
        train=DaeTrainSettings(steps=10), states=States(folder=folder / "state", code="", packages={}),
        weights=folder / "dae.safetensors", metrics=folder / "training.json", log=folder / "log", seed=0,
        device="cpu", threads=torch.get_num_threads(),
    ).run()  # fmt: skip


def train_pca(folder: Path) -> None:
    """64 components of the training split."""
    crops, _ = crops_of_split(*files(folder), read_table(folder / "splits.tsv", PATIENT_SPLITS), "train")
    save_pca(folder / "pca.safetensors", fit_pca(crops, 64, WINDOW, 0))


def encode_all(folder: Path) -> None:
    """Latents of each shard, by components that are found in the first one."""
    tables, arrays = files(folder)
    save_pca(folder / "pca.safetensors", fit_pca(Crops([read_array(arrays[0])]), 64, WINDOW, 0))
    for table, array in zip(tables, arrays, strict=True):
        encode_pca(folder / "pca.safetensors", read_array(array), read_table(table, CROPS))


JOBS = {"train_dae": train_dae, "train_pca": train_pca, "encode_pca": encode_all}


def watched(command: list[str], at_most_s: float) -> dict[str, float | str]:
    """Largest memory in MB of a process, the seconds that it took, and how it ended."""
    process, begin, largest = subprocess.Popen(command), time.monotonic(), {"RssAnon": 0, "VmHWM": 0}
    while process.poll() is None and time.monotonic() - begin < at_most_s:
        for line in Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name in largest:
                largest[name] = max(largest[name], int(value.split()[0]))
        time.sleep(0.02)
    ended = process.poll()
    if ended is None:
        process.kill()
        process.wait()
    seconds = round(time.monotonic() - begin, 1)
    megabytes: dict[str, float | str] = {name: round(kb * 1024 / 1e6) for name, kb in largest.items()}
    return megabytes | {"seconds": seconds, "ended": f"killed after {at_most_s:.0f} s" if ended is None else f"{ended}"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an empty folder, or one with the crops of an earlier call")
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--crops", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--at-most", type=float, default=3600.0, help="seconds")
    parser.add_argument("--here", action="store_true", help="run the job in this process, unwatched")
    given = parser.parse_args()
    if given.here:
        JOBS[given.job](given.folder)
        sys.exit()
    given.folder.mkdir(parents=True, exist_ok=True)
    if not (given.folder / "splits.tsv").exists():
        write_crops(given.folder, given.crops, given.size)
    command = [sys.executable, __file__, str(given.folder), given.job, "--here"]
    print(json.dumps({"job": given.job, "crops": given.crops} | watched(command, given.at_most)))
