"""Time and memory of the conversion and of dcm2niix, on the same DICOM folders; results: docs/results/benchmarks.md.

    .venv/bin/python benchmarks/ct_conversion.py FOLDER... [--repeats 5] [--dcm2niix PATH]

dcm2niix comes from PyPI (`pip install dcm2niix==1.0.20260724`, in a separate environment); it writes gzip of level
1, as this project does. Runs alternate; the table gives the medians of CPU and wall time. Ours is a scan in the worker
of a shard, as the rule reads it. Its peak memory is that over the worker's before the scan; a part of it are pages of
libraries touched for the first time (files that all processes share, the same for a scan of any size). A separate line
says what importing costs, once per shard.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import nibabel as nib
import numpy as np

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.convert import convert_scan
from vertegrade.settings.ct import CtSettings


def run(work: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
    """CPU seconds and wall seconds of `work` in a fork of this process, and the numbers that it returns."""
    read, write = os.pipe()
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, " ".join(map(str, work())).encode())
        except BaseException as error:
            print(f"failed: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    os.close(write)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - start
    with os.fdopen(read) as pipe:
        numbers = [float(number) for number in pipe.read().split()]
    if status:
        raise SystemExit("a run failed; its message is above")
    return usage.ru_utime + usage.ru_stime, wall, *numbers


def memory_mb(name: str) -> float:
    """VmRSS, VmHWM (its peak) or RssFile of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def ours(folder: Path, out: Path) -> tuple[float, float]:
    """Convert; the peak memory over the start's and the pages of files over the start's, in MB."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
    before, files_before = memory_mb("VmRSS"), memory_mb("RssFile")
    settings = CtSettings(resample_tilt=True, resample_spacing=True)  # no effect on a stack that needs neither
    state = convert_scan(ScanRow("scan", "patient", str(folder)), out, settings)
    if state["state"] != "done":
        raise RuntimeError(state["message"])
    return memory_mb("VmHWM") - before, memory_mb("RssFile") - files_before


def execute(*command: str) -> tuple[float, ...]:
    """Become another program, without its output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execvp(command[0], command)


def row_of(folder: Path, program: str, repeats: int) -> str:
    """A row of the table for one series."""
    with tempfile.TemporaryDirectory() as out:
        options = ("-v", "0", "-z", "y", "-1", "-w", "1", "-f", "theirs", "-o", out, str(folder))
        us, them = [], []
        for _ in range(repeats):
            us.append(run(lambda: ours(folder, Path(out))))
            them.append(run(lambda: execute(program, *options)))
        # By the header: memory that this process had freed would hide what its forks take.
        volume_mb = 2 * np.prod(nib.Nifti1Image.from_filename(Path(out, "scan_ct.nii.gz")).shape) / 2**20
    cpu, wall, memory, files = (median(values) for values in zip(*us, strict=True))
    their_cpu, their_wall = (median(values) for values in zip(*them, strict=True))
    return (
        f"| {folder.name} | {volume_mb:.0f} MB | {cpu:.2f} s, {wall:.2f} s | {their_cpu:.2f} s, {their_wall:.2f} s | "
        f"{cpu / their_cpu:.2f}, {wall / their_wall:.2f} | {memory:.0f} MB, {memory / volume_mb:.2f} | "
        f"{files:.0f} MB, {(memory - files) / volume_mb:.2f} |"
    )


def main() -> None:
    """Measure and print the rows of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dcm2niix", default="dcm2niix")
    arguments = parser.parse_args()
    program = shutil.which(arguments.dcm2niix)
    if program is None:
        raise SystemExit(f"{arguments.dcm2niix} is not there: pip install dcm2niix, or give --dcm2niix")
    print(
        "| series | volume | ours: CPU, wall | dcm2niix: CPU, wall | ratios | ours: memory, share of the volume | "
        "of it libraries, share of the rest |"
    )
    print("|---|---|---|---|---|---|---|")
    for folder in arguments.folders:
        print(row_of(folder, program, arguments.repeats), flush=True)
    cpu, wall = run(lambda: execute(sys.executable, "-c", "import vertegrade.ct.shard"))
    print(f"\nimports, once per shard: {cpu:.2f} s CPU, {wall:.2f} s")


if __name__ == "__main__":
    main()
