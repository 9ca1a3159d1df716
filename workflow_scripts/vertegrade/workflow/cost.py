"""What a run took: CPU and GPU hours, peak memory and an estimate of the energy, from what each job's manifest says."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

# Watts assumed for unknown machines, as in Green Algorithms (Lannelongue 2021, its defaults of version 2): per busy
# core, per GB of memory, and what a data centre takes in all per watt of its computers. A GPU: the rated power of
# common ones in data centres (V100, A100 on PCIe).
ASSUMED = {"watts_per_core": 12.0, "watts_per_gb": 0.3725, "watts_per_gpu": 300.0, "data_centre_factor": 1.67}


def cost(jobs: Iterable[dict[str, Any]], scans: int) -> dict[str, Any]:
    """`cost` of summary.json.

    jobs: manifests, of each `rule` and `resources` (wall_s, cpu_s, peak_rss_mb, device; gpus where a newer one says).
    scans: by how many the sums are divided; `per_scan` is null where there are none.
    """
    by_rule: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for job in jobs:
        by_rule[job["rule"]].append(job["resources"])
    rules = {rule: _sum(by_rule[rule]) for rule in sorted(by_rule)}
    total = _sum([used for jobs_of_rule in by_rule.values() for used in jobs_of_rule])
    shares = ("wall_h", "cpu_h", "gpu_h", "energy_kwh")
    return {
        "rules": rules,
        "total": total,
        "per_scan": {key: round(total[key] / scans, 9) for key in shares} if scans else None,
        "assumed": ASSUMED,
    }


def _sum(jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Hours of all jobs, the largest memory of any, and the energy of all in kWh."""
    gpu_s = sum(gpus_of(used) * used["wall_s"] for used in jobs)
    cpu_s = sum(used["cpu_s"] for used in jobs)
    gb_s = sum(used["peak_rss_mb"] / 1000 * used["wall_s"] for used in jobs)
    watt_s = cpu_s * ASSUMED["watts_per_core"] + gb_s * ASSUMED["watts_per_gb"] + gpu_s * ASSUMED["watts_per_gpu"]
    return {
        "jobs": len(jobs),
        "wall_h": _hours(sum(used["wall_s"] for used in jobs)),
        "cpu_h": _hours(cpu_s),
        "gpu_h": _hours(gpu_s),
        "peak_memory_mb": max((used["peak_rss_mb"] for used in jobs), default=0.0),
        "energy_kwh": round(watt_s * ASSUMED["data_centre_factor"] / 3.6e6, 9),
    }


def gpus_of(used: dict[str, Any]) -> int:
    """GPUs that a job computed on."""
    return 0 if used["device"] == "cpu" else int(used.get("gpus", 1))


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 6)
