"""What stands beside the figures on the page: virtual fractures in scans, and what each method took."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from vertegrade.evaluation.comparison.figure import label_of
from vertegrade.evaluation.texts import estimate_text
from vertegrade.report.challenge.page import limit_text, percent, percent_text

STAGES = ("training", "shared", "grading")


def challenge_block(name: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """A challenge.json as a table: rows are methods. name: whose scans these are."""
    rows = []
    for method, blocks in numbers["methods"].items():
        block = blocks["all"]
        cells = [estimate_text(block["auc"], 3), estimate_text(block["spearman"])]
        cells += [percent_text(block["sensitivity"]), limit_text(block["loss_noticed"])]
        rows.append({"name": label_of(method), "cells": [*cells, percent_text(block["false_alarms"])]})
    controls = sum(count for kind, count in numbers["vertebrae"].items() if kind != "fracture")
    return {
        "name": name,
        "least_loss": percent(numbers["clear_loss"]),
        "counts": f"{numbers['vertebrae']['fracture']} virtual fractures and {controls} intact vertebrae of "
        f"{numbers['patients']} patient{'' if numbers['patients'] == 1 else 's'}",
        "rows": rows,
    }


def cost_rows(cost: pd.DataFrame) -> list[dict[str, Any]]:
    """METHOD_COST as text: training, and what grading a scan takes without and with the steps that all share."""
    rows = []
    for method, of in cost.groupby("method", sort=False):
        stage = {name: of[of["stage"] == name].iloc[0] for name in STAGES}
        scans = max(int(of["scans"].iloc[0]), 1)
        own, shared, taught = stage["grading"], stage["shared"], stage["training"]
        rows.append(
            {
                "name": label_of(str(method)),
                "cells": [
                    f"{taught['cpu_s'] / 60:.1f}" if taught["jobs"] else "elsewhere",
                    f"{taught['gpu_s'] / 60:.1f}" if taught["jobs"] else "elsewhere",
                    f"{taught['peak_memory_mb']:.0f}" if taught["jobs"] else "elsewhere",
                    f"{own['cpu_s'] / scans:.2f}",
                    f"{(own['cpu_s'] + shared['cpu_s']) / scans:.2f}",
                    f"{(own['gpu_s'] + shared['gpu_s']) / scans:.2f}",
                    f"{max(own['peak_memory_mb'], shared['peak_memory_mb']):.0f}",
                ],
            }
        )
    return rows
