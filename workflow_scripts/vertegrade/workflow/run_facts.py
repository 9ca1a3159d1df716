"""What a run cost, from the manifests that its jobs left."""

import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from vertegrade.files import read_json


def job_manifests(folder: str | Path) -> list[dict[str, Any]]:
    """What the figures of a run need of each job's manifest: rule, started, finished, resources."""
    needed = ("rule", "started", "finished", "resources")
    files = sorted(Path(folder).rglob("[!.]*.json"))
    return [{key: manifest[key] for key in needed} for manifest in map(read_json, files)]


def run_facts(jobs: list[dict[str, Any]], settings_sha256: str) -> dict[str, Any]:
    """`run` of summary.json: commit (null outside git), settings_sha256, jobs that are done, wall_s.

    wall_s counts the seconds in which at least one job ran: pauses between runs that were resumed do not count.
    """
    times = [[datetime.fromisoformat(job[key]).timestamp() for key in ("started", "finished")] for job in jobs]
    return {
        "commit": _commit(),
        "settings_sha256": settings_sha256,
        "jobs": len(jobs),
        "wall_s": round(_covered(times), 1),
    }


def _covered(spans: list[list[float]]) -> float:
    """Length of the union of the spans."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def _commit() -> str | None:
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return found.stdout.strip() or None
