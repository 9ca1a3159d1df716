"""What each method took, from the manifests of the jobs that its predictions follow from."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from vertegrade.evaluation.comparison.tables import METHOD_COST
from vertegrade.tables import check_table
from vertegrade.workflow.cost import gpus_of
from vertegrade.workflow.lineage import LEARNING, steps_behind
from vertegrade.workflow.manifest import Manifest

TRAINING, GRADING, SHARED = "training", "grading", "shared"
# Neither: they draw phantoms, or say who is who. Virtual fractures that teach are part of the training.
NOT_COUNTED = {"phantom", "split", "labels", "virtual_labels"}


def cost_table(predictions: Mapping[str, tuple[str, str]], manifests: list[Manifest], scans: int) -> pd.DataFrame:
    """METHOD_COST.

    predictions: path and SHA-256 of each method's predictions. manifests: of the run. Grading is divided by `scans` in
    the page, not here. The steps that all methods need (conversion, localization, crops) are told apart as `shared`; a
    method's own grading is what comes on top. LineageError where a file was made again after it was used.
    """
    behind = {
        method: [step.manifest for step in steps_behind({path: sha}, manifests, "", "")]
        for method, (path, sha) in predictions.items()
    }
    common = set.intersection(*({id(job) for job in jobs} for jobs in behind.values())) if len(behind) > 1 else set()
    rows = []
    for method, jobs in behind.items():
        stages: dict[str, list[Manifest]] = {stage: [] for stage in (TRAINING, SHARED, GRADING)}
        for job in jobs:
            if stage := _stage(job, id(job) in common):
                stages[stage].append(job)
        rows += [{"method": method, "stage": stage, **_sum(of), "scans": scans} for stage, of in stages.items()]
    table = pd.DataFrame(rows, columns=[*METHOD_COST.columns])
    return check_table(table, METHOD_COST, "cost of methods")


def _stage(job: Manifest, shared: bool) -> str:
    if job.rule in NOT_COUNTED:
        return ""
    if job.rule in LEARNING or job.rule.endswith("_virtual") or job.rule in ("virtual_fractures", "collapse_crops"):
        return TRAINING
    return SHARED if shared else GRADING


def _sum(jobs: Iterable[Manifest]) -> dict[str, Any]:
    used = [job.resources for job in jobs]
    return {
        "rules": " ".join(sorted({job.rule for job in jobs})),
        "jobs": len(used),
        "cpu_s": sum(float(one["cpu_s"]) for one in used),
        "wall_s": sum(float(one["wall_s"]) for one in used),
        "gpu_s": sum(gpus_of(one) * float(one["wall_s"]) for one in used),
        "peak_memory_mb": max((float(one["peak_rss_mb"]) for one in used), default=0.0),
    }
