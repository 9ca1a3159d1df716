"""What share of a run is not its jobs' own work: starting Python and importing, hashing for manifests, waiting.

    .venv/bin/python benchmarks/overhead.py /path/of/a/finished/run

Reads what a local run leaves: manifests (the script's work), Snakemake's benchmark files (the whole process) and logs
(work and manifest). Waiting is the time between the first job's start and the last one's end in which no job ran.
Only jobs of the default targets count. Results: docs/results/benchmarks.md.
"""

import argparse
import csv
import json
import re
from collections import defaultdict
from datetime import datetime
from pathlib import Path

PARTS = ("work", "manifest", "start")
ASKED_FOR = {"lineage", "ro_crate", "train_localizer"}


def parts_of(manifest: dict, logs: Path, name: str) -> tuple[dict[str, float], tuple[float, float]]:
    """Seconds of a job by part, and when its process began and ended (s since the epoch)."""
    where = manifest["rule"] if name == "all" else f"{manifest['rule']}/{name}"
    with (logs / "benchmarks" / f"{where}.tsv").open(encoding="utf-8") as file:
        process = float(next(csv.DictReader(file, delimiter="\t"))["s"])
    done = re.findall(r"done in ([\d.]+) s$", (logs / f"{where}.log").read_text(encoding="utf-8"), re.MULTILINE)
    work = manifest["resources"]["wall_s"]
    with_manifest = max(float(done[-1]), work)
    end = datetime.fromisoformat(manifest["finished"]).timestamp() + with_manifest - work
    seconds = {"work": work, "manifest": with_manifest - work, "start": max(process - with_manifest, 0.0)}
    return seconds, (end - process, end)


def without_jobs(spans: list[tuple[float, float]]) -> float:
    """Seconds between the first beginning and the last end that no span covers."""
    idle, reached = 0.0, min(spans)[0]
    for begin, end in sorted(spans):
        idle += max(begin - reached, 0.0)
        reached = max(reached, end)
    return idle


def report(run: Path) -> None:
    """Print the parts by rule and in all."""
    rules: dict[str, list[dict[str, float]]] = defaultdict(list)
    spans = []
    for file in sorted((run / "results/manifest").glob("*/*.json")):
        manifest = json.loads(file.read_text(encoding="utf-8"))
        if manifest["rule"] not in ASKED_FOR:
            seconds, span = parts_of(manifest, run / "results/logs", file.stem)
            rules[manifest["rule"]].append(seconds)
            spans.append(span)
    sums = {rule: {part: sum(job[part] for job in jobs) for part in PARTS} for rule, jobs in rules.items()}
    print(f"{'rule':<24}{'jobs':>5}{'work s':>9}{'manifest s':>12}{'start s':>9}")
    for rule, total in sorted(sums.items(), key=lambda item: -item[1]["start"]):
        print(f"{rule:<24}{len(rules[rule]):>5}{total['work']:>9.1f}{total['manifest']:>12.1f}{total['start']:>9.1f}")
    work, manifest, start = (sum(total[part] for total in sums.values()) for part in PARTS)
    print(f"{'all':<24}{len(spans):>5}{work:>9.1f}{manifest:>12.1f}{start:>9.1f}")
    took = max(end for _, end in spans) - min(spans)[0]
    print(f"start-up is {start / work:.1%} of the work, manifests {manifest / work:.1%}")
    print(f"no job ran for {without_jobs(spans):.1f} of {took:.1f} s: {without_jobs(spans) / took:.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder that a finished local run has its results/ in")
    report(parser.parse_args().run)
