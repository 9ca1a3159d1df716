"""What Snakemake itself costs for a cohort of many scans: parse, plan, a run with nothing to do, memory, jobs, inodes.

    .venv/bin/python benchmarks/scale.py FOLDER 10000 --scans-per-shard 50

Makes in FOLDER a sheet of that many scans (empty NIfTI files), and a finished run of it: every file that the workflow
makes, empty, with its manifest, and recorded by Snakemake's own function for a job that has ended. So the plan and the
run with nothing to do are those of a real cohort; only the jobs' work is left out. Last a setting of the first stage is
changed, after which everything would run again. CPU time is given besides wall time: on a shared machine it
says more. Appends a line to FOLDER/scale.tsv. Results: docs/design/scale.md.
"""

import argparse
import contextlib
import csv
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pandas as pd
from matplotlib import pyplot
from snakemake.io import is_flagged
from snakemake.settings.types import ExecutionSettings

from vertegrade.cohort.sheet import shard_of
from vertegrade.workflow.code_hash import code_digests
from vertegrade.workflow.manifest import write_manifest
from vertegrade.workflow.plan import open_workflow

ROOT = Path(__file__).resolve().parent.parent
TRIGGERS = ["mtime", "params", "input", "software-env"]  # as in profiles/default
A_FOLDER = 1000  # scans in one folder
# What a scan leaves in the folders that jobs write, by the folder's parent.
OF_A_SCAN = {"ct": ("{}_ct.nii.gz", "{}_ct.json"), "localization": ("{}.png",)}


STEPS = {"parse": "parse", "plan": "plan of a first run", "idle": "nothing to do", "changed": "plan after a change"}


class Ran(NamedTuple):
    """A call of Snakemake: what it printed, wall and CPU time (s), peak memory (MB)."""

    text: str
    wall_s: float
    cpu_s: float
    peak_mb: float

    def figures(self, name: str) -> dict[str, float]:
        """Columns of the table."""
        return {
            f"{name}_s": round(self.wall_s, 2),
            f"{name}_cpu_s": round(self.cpu_s, 2),
            f"{name}_mb": round(self.peak_mb),
        }


def snakemake(folder: Path, *arguments: str, settings: str = "mine.yaml", root: Path = ROOT) -> Ran:
    """Run `snakemake` of the clone `root` on the cohort in `folder`."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(root / "config.yaml"), str(folder / settings), *arguments]
    with (folder / "output.txt").open("w+", encoding="utf-8") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=root, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{text[-4000:]}")
    return Ran(text, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def write_cohort(folder: Path, scans: int, shards: int) -> dict[str, list[str]]:
    """Sheet, labels, settings and empty scans; the ids of the scans by shard."""
    of_shard: dict[str, list[str]] = {}
    with (folder / "sheet.csv").open("w", encoding="utf-8") as sheet:
        sheet.write("scan_id,patient_id,path\n")
        for number in range(scans):
            scan = Path("scans", str(number // A_FOLDER), f"s{number}.nii.gz")
            (folder / scan).parent.mkdir(parents=True, exist_ok=True)
            (folder / scan).touch()
            sheet.write(f"s{number},p{number},{scan}\n")
            of_shard.setdefault(shard_of(f"s{number}", shards), []).append(f"s{number}")
    (folder / "labels.csv").write_text("patient_id,scan_id,vertebra,genant_grade\np0,s0,L1,0\n", encoding="utf-8")
    settings = f"cohort: {{sheet: sheet.csv, labels: labels.csv, shards: {shards}}}\n"
    (folder / "mine.yaml").write_text(settings, encoding="utf-8")
    return of_shard


def write_finished_run(folder: Path, of_shard: dict[str, list[str]]) -> None:
    """All results of a finished run, empty and of one time; Snakemake records each job as it does after a real one."""
    files = [str(ROOT / "config.yaml"), "mine.yaml"]
    with contextlib.chdir(folder), open_workflow({}, ROOT / "Snakefile", TRIGGERS, files) as opened:
        opened.planned()
        workflow = opened._workflow
        workflow.execution_settings = ExecutionSettings()
        jobs = [job for job in workflow.dag.jobs if job.output]
        for path in (path for job in jobs for path in job.output):
            names = OF_A_SCAN.get(Path(path).parent.name, ())
            inside = [Path(path, name.format(scan)) for scan in of_shard.get(Path(path).name, []) for name in names]
            place = Path(path) if is_flagged(path, "directory") else Path(path).parent
            place.mkdir(parents=True, exist_ok=True)
            for file in inside if is_flagged(path, "directory") else [Path(path)]:
                file.touch()
        now = time.time()
        for path in (path for job in jobs for path in job.output):
            os.utime(path, (now, now))
        for job in jobs:
            write_manifest(as_script_sees(job), "results", datetime.now(UTC), "cpu", code_digests(job.rule.name))
            workflow.async_run(workflow.persistence.finished(job))


def as_script_sees(job: Any) -> SimpleNamespace:
    """A planned job as Snakemake gives it to a script."""
    parts = {"rule": job.rule.name, "wildcards": job.wildcards_dict, "threads": 1}
    return SimpleNamespace(**parts, input=job.input, output=job.output, params=job.params)


def fastest(folder: Path, *arguments: str, repeats: int) -> Ran:
    """The run that others on the machine disturbed least."""
    return min((snakemake(folder, *arguments) for _ in range(repeats)), key=lambda run: run.wall_s)


def measure(folder: Path, scans: int, shards: int, repeats: int) -> dict[str, float]:
    """One line of figures: the steps of a cohort's life in their order."""
    of_shard = write_cohort(folder, scans, shards)
    snakemake(folder, "--list-rules")  # the code's hashes are remembered from here on, as after any first run
    parse = fastest(folder, "--list-rules", repeats=repeats)
    plan = fastest(folder, "-n", "--quiet", "rules", repeats=repeats)
    jobs = re.search(r"^total\s+(\d+)$", plan.text, re.MULTILINE)
    if jobs is None:
        sys.exit(f"a dry run planned nothing:\n{plan.text[-2000:]}")
    write_finished_run(folder, of_shard)
    idle = fastest(folder, "--cores", "1", repeats=repeats)
    if "Nothing to be done" not in idle.text:
        sys.exit(f"the finished run is not finished:\n{idle.text[-4000:]}")
    other = (folder / "mine.yaml").read_text(encoding="utf-8") + "ct: {min_slices: 9}\n"
    (folder / "changed.yaml").write_text(other, encoding="utf-8")
    changed = snakemake(folder, "-n", "--quiet", "rules", settings="changed.yaml")
    if "missing provenance" in changed.text:
        sys.exit("the finished run is not recorded as a real one is")
    named = {"parse": parse, "plan": plan, "idle": idle, "changed": changed}
    figures: dict[str, float] = {"scans": scans, "shards": shards, "jobs": int(jobs[1])}
    for name, run in named.items():
        figures |= run.figures(name)
    # besides these each job leaves a log and a benchmark
    figures["files"] = 2 * int(jobs[1]) + sum(len(files) for _, _, files in os.walk(folder)) - scans
    return figures


def plot(table: Path, picture: Path) -> None:
    """CPU time and peak memory over the number of scans, of all lines measured; filled where a shard has 50 scans."""
    lines = pd.read_csv(table, sep="\t").sort_values("scans")
    filled = lines["scans"] / lines["shards"] == 50
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axes, unit, title in ((left, "cpu_s", "CPU time (s)"), (right, "mb", "peak memory (MB)")):
        for index, (step, name) in enumerate(STEPS.items()):
            values = lines[f"{step}_{unit}"]
            axes.plot(lines["scans"][filled], values[filled], "o-", color=f"C{index}", label=name)
            axes.plot(lines["scans"][~filled], values[~filled], "o", color=f"C{index}", markerfacecolor="none")
        axes.set(xscale="log", yscale="log", xlabel="scans", title=title)
        axes.grid(alpha=0.3, which="both")
    left.legend()
    with pyplot.rc_context({"svg.hashsalt": "scale"}):
        figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an empty folder, or one of earlier measurements")
    parser.add_argument("scans", type=int)
    parser.add_argument("--scans-per-shard", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="draw all lines of FOLDER/scale.tsv, this one too")
    given = parser.parse_args()
    cohort = (given.folder / f"{given.scans}-{given.scans_per_shard}").resolve()
    cohort.mkdir(parents=True)
    line = measure(cohort, given.scans, max(1, given.scans // given.scans_per_shard), given.repeats)
    print(line)
    table = given.folder / "scale.tsv"
    new = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(line), delimiter="\t", lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(line)
    if given.plot:
        plot(table, given.plot)
