"""What a run cost, from the manifests that its jobs left."""

import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from vertegrade.files import read_json


def run_facts(manifests: str | Path, settings_sha256: str) -> dict[str, Any]:
    """`run` of summary.json: commit (null outside git), settings_sha256, jobs that are done, wall_s.

    wall_s counts the seconds in which at least one job ran: pauses between runs that were resumed do not count.
    """
    spans = []
    for file in sorted(Path(manifests).rglob("[!.]*.json")):
        manifest = read_json(file)
        spans.append(tuple(datetime.fromisoformat(manifest[key]).timestamp() for key in ("started", "finished")))
    return {
        "commit": _commit(),
        "settings_sha256": settings_sha256,
        "jobs": len(spans),
        "wall_s": round(_covered(spans), 1),
    }


def _covered(spans: list[tuple[float, ...]]) -> float:
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
