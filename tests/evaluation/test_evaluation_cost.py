"""What a run took, from manifests of known figures."""  # field test C5

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vertegrade.workflow.cost import ASSUMED, cost

PAGE = Path(__file__).parents[2] / "docs/reference/summary.md"


def job(rule: str, wall_s: float, cpu_s: float, memory_mb: float, device: str = "cpu", **more: int) -> dict[str, Any]:
    used = {"wall_s": wall_s, "cpu_s": cpu_s, "peak_rss_mb": memory_mb, "threads": 2, "device": device}
    return {"rule": rule, "resources": used | more}


JOBS = [
    job("convert", 1800.0, 900.0, 1000.0, gpus=0),
    job("convert", 3600.0, 1800.0, 3000.0, gpus=0),
    job("train_dae", 7200.0, 3600.0, 2000.0, "NVIDIA A100", gpus=4),
    job("encode", 360.0, 360.0, 500.0, "NVIDIA A100"),
]


def test_hours_and_memory_of_each_rule_and_scan() -> None:
    found = cost(JOBS, 10)
    assert list(found["rules"]) == ["convert", "encode", "train_dae"]
    convert, encode, training = found["rules"].values()
    assert [convert[key] for key in ("jobs", "wall_h", "cpu_h", "gpu_h", "peak_memory_mb")] == [2, 1.5, 0.75, 0, 3000.0]
    assert training["gpu_h"] == 8.0
    assert encode["gpu_h"] == 0.1  # a manifest from before GPUs were counted: one
    assert found["total"]["cpu_h"] == pytest.approx(1.85)
    assert found["per_scan"]["gpu_h"] == pytest.approx(0.81)
    assert found["per_scan"]["cpu_h"] == pytest.approx(0.185)


def test_energy_is_what_the_documents_say() -> None:
    (line,) = re.findall(r"(?s)It is `cpu_h`.*?data centre", PAGE.read_text(encoding="utf-8"))
    assert [float(number) for number in re.findall(r"[0-9.]+[0-9]", line)] == [*ASSUMED.values()]
    convert = cost(JOBS, 10)["rules"]["convert"]
    watt_h = 0.75 * 12 + (1.0 * 0.5 + 3.0 * 1.0) * 0.3725
    assert convert["energy_kwh"] == pytest.approx(watt_h * 1.67 / 1000)
    assert cost(JOBS[2:3], 1)["total"]["energy_kwh"] == pytest.approx((12 + 4 * 0.3725 + 8 * 300) * 1.67 / 1000)


def test_no_scan_and_no_job() -> None:
    assert cost(JOBS, 0)["per_scan"] is None
    assert cost([], 0)["total"] == dict.fromkeys(cost(JOBS, 1)["total"], 0)


def test_it_keeps_the_documented_schema() -> None:
    schema = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1])
    part = schema["properties"]["cost"] | {"$defs": schema["$defs"]}
    jsonschema.validate(cost(JOBS, 10), part)
