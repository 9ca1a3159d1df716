"""What the DAE's training and encoding take on a GPU, in ten minutes: one command, a JSON and a Markdown table.

    python3 benchmarks/gpu.py OUT                      # on a machine with a GPU
    .venv/bin/python benchmarks/gpu.py OUT --quick     # narrow networks on a CPU, to see that this program works

It needs this repository and a Python 3.11 or newer with torch, diffusers, safetensors, numpy, psutil, pyyaml and
pydantic; nothing is installed or fetched. Crops are noise, so losses say nothing. For each network and each way of
computing it measures steps per second, the largest memory of the GPU, and how often a step waited for it (torch's
sync debug mode). Then encoding, and whether a training that was stopped goes on to the same weights. What does not
fit into --seconds is left out, and named. Results: docs/results/benchmarks.md.
"""

import argparse
import gc
import json
import logging
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402

from vertegrade.graders.crops import Crops  # noqa: E402
from vertegrade.graders.dae.encoding import encode  # noqa: E402
from vertegrade.graders.dae.network import DaeNetwork  # noqa: E402
from vertegrade.graders.dae.training import DaeLearning, recipe, train_dae  # noqa: E402
from vertegrade.graders.dae.weights import load_dae  # noqa: E402
from vertegrade.settings.dae import DaeSettings  # noqa: E402
from vertegrade.training.interruption import Interruption, TrainingInterrupted  # noqa: E402
from vertegrade.training.loop import Training  # noqa: E402
from vertegrade.training.seeds import own_generators  # noqa: E402
from vertegrade.training.states import States  # noqa: E402

log = logging.getLogger("gpu")
SIZES = {"dae64": 64, "dae128": 128, "demo": 64}
NARROW = {"channels": 8, "encoder_channels": 8, "z_dim": 16, "embedding": 16}  # for --quick
FAST = {"precision": "bfloat16", "channels_last": True, "fused": True}
WAYS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, channels-last, fused": FAST,
    "the same, compiled": FAST | {"compiled": True},
}


def settings_of(network: str, quick: bool) -> DaeSettings:
    """Settings of a preset, or of the demo; narrower and with small batches where `quick`."""
    found = {} if network == "demo" else yaml.safe_load((ROOT / f"presets/{network}.yaml").read_text())["dae"]
    settings = DaeSettings.model_validate(found)
    if not quick:
        return settings
    model = settings.model.model_copy(update=NARROW)
    return settings.model_copy(update={"model": model, "train": settings.train.model_copy(update={"batch_size": 2})})


def fake_crops(folder: Path, size: int, count: int) -> Crops:
    """Noise of five slices in a mapped file, as the workflow has its crops."""
    file = folder / f"{size}.npy"
    if not file.exists():
        np.save(file, np.random.default_rng(0).integers(-200, 800, (count, 5, size, size), np.int16))
    return Crops([np.load(file, mmap_mode="r")])


@contextmanager
def counted_waits(device: str) -> Iterator[list[str]]:
    """Where the program waits for the GPU inside the block, one text for each time; a CPU is not asked."""
    waits: list[str] = []
    if device != "cuda":
        yield waits
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode("default")
        waits += [f"{w.filename}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)]


def finish(device: str) -> None:
    """Wait for all that the GPU was asked for."""
    if device == "cuda":
        torch.cuda.synchronize()


def trained(network: str, way: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Figures of some steps of one network, computed in one way."""
    settings = settings_of(network, given.quick)
    train = settings.train.model_copy(update=WAYS[way])
    crops = fake_crops(folder, SIZES[network], 8 if given.quick else 2048)
    if given.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    begin = time.monotonic()
    with own_generators(0, given.device):
        learning = DaeLearning(crops, settings.model, train, 0, given.device)
        layout = torch.channels_last if train.channels_last else torch.preserve_format
        made = DaeNetwork(settings.model, crops.height).to(given.device, memory_format=layout)
        at_work = Training(made, learning.batch, learning.loss, recipe(made, train), folder / "none", 0)
        for at_work.step in range(2 if given.quick else 8):  # compiles, and sees the weights move
            at_work.train_step()
        at_work.read()
        finish(given.device)
        warm, before = time.monotonic(), at_work.step
        with counted_waits(given.device) as places:
            while at_work.step < before + given.steps and time.monotonic() - warm < given.each_s:
                at_work.step += 1
                at_work.train_step()
        finish(given.device)
        took, steps = time.monotonic() - warm, at_work.step - before
        at_work.read()
    return {
        "network": network, "way": way, "parameters_m": sum(p.numel() for p in made.parameters()) / 1e6,
        "batch": train.batch_size, "steps": steps, "steps_per_s": steps / took,
        "crops_per_s": steps * train.batch_size / took, "first_steps_s": warm - begin,
        "waits": len(places) if given.device == "cuda" else None,
        "waits_at": sorted(set(places)), "loss": at_work.facts["loss"],
        "bad_steps": at_work.facts["bad_steps"], "gpu_gb": gpu_gb(given.device),
    }  # fmt: skip


def gpu_gb(device: str) -> float | None:
    """Largest memory that tensors had on the GPU, GB."""
    return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None


def resumed(network: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Whether a training of a few steps that was stopped ends with the weights of one that was not, and encoding."""
    settings = settings_of(network, given.quick)
    train = settings.train.model_copy(update={"steps": 6, "batch_size": 2 if given.quick else 32})
    crops = fake_crops(folder, SIZES[network], 8 if given.quick else 2048)

    def run(name: str) -> Path:
        weights = folder / f"{name}.safetensors"
        states = States(folder=folder / name, code="benchmark", packages={})
        train_dae(crops, settings.model, train, states, weights, 0, given.device, 4)
        return weights

    whole, reason = run("whole"), Interruption.reason
    Interruption.reason = lambda self: "half of it"  # type: ignore[method-assign]
    try:
        run("stopped")
    except TrainingInterrupted as error:
        log.info("%s: %s", network, error.reason)
    finally:
        Interruption.reason = reason  # type: ignore[method-assign]
    one, other = load_dae(whole, given.device), load_dae(run("stopped"), given.device)
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    difference = max(float((a - b).abs().max()) for a, b in pairs)
    finish(given.device)
    encode(one, [crops.take(np.arange(2))], 2)
    begin = time.monotonic()
    encode(one, [crops.take(np.arange(len(crops)))], 256)
    rate = len(crops) / (time.monotonic() - begin)
    return {"network": network, "largest_difference_after_resume": difference, "encoded_crops_per_s": rate}


def machine(device: str) -> dict[str, Any]:
    """What it was measured on."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "cpu": platform.processor()}
    if device == "cuda":
        found |= {"gpu": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}
        found["cudnn"] = str(torch.backends.cudnn.version())
        found["tf32_convolutions"] = str(torch.backends.cudnn.allow_tf32)
    return found


def markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    lines = ["# The DAE on " + report["machine"].get("gpu", "a CPU"), ""]
    lines += [", ".join(f"{name} {value}" for name, value in report["machine"].items() if value), ""]
    lines += ["| network | parameters | way | batch | steps/s | crops/s | GPU memory | waits in the steps |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in report["training"]:
        memory = "" if row["gpu_gb"] is None else f"{row['gpu_gb']:.1f} GB"
        waits = "not counted" if row["waits"] is None else f"{row['waits']} in {row['steps']}"
        lines.append(
            f"| {row['network']} | {row['parameters_m']:.2f} M | {row['way']} | {row['batch']} | "
            f"{row['steps_per_s']:.2f} | {row['crops_per_s']:.0f} | {memory} | {waits} |"
        )
    lines += ["", "| network | encoded crops/s | largest difference of a weight after a stop |", "|---|---|---|"]
    for row in report["resumed"]:
        rate, difference = row["encoded_crops_per_s"], row["largest_difference_after_resume"]
        lines.append(f"| {row['network']} | {rate:.0f} | {difference:.3g} |")
    lines += ["", *(f"Not measured: {text}" for text in report["left_out"])]
    return "\n".join(lines).rstrip() + "\n"


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """All figures that fit into the time; each is written as soon as there is one."""
    begin = time.monotonic()
    report: dict[str, Any] = {"machine": machine(given.device), "training": [], "resumed": [], "left_out": []}
    ways = [way for way in WAYS if not (given.quick and WAYS[way].get("compiled"))]
    tasks = [(name, way) for way in ways[:3] for name in SIZES]
    tasks += [(name, "resume") for name in (["demo"] if given.quick else SIZES)]
    tasks += [(name, way) for way in ways[3:] for name in SIZES]
    with tempfile.TemporaryDirectory() as folder:
        for name, way in tasks:
            if time.monotonic() - begin > given.seconds:
                report["left_out"].append(f"{name}, {way}: no time was left")
                continue
            try:
                if way == "resume":
                    report["resumed"].append(resumed(name, given, Path(folder)))
                else:
                    report["training"].append(trained(name, way, given, Path(folder)))
            except torch.cuda.OutOfMemoryError as error:
                report["left_out"].append(f"{name}, {way}: {error}")
            gc.collect()
            if given.device == "cuda":
                torch.cuda.empty_cache()
            log.info("%s, %s: %.0f s", name, way, time.monotonic() - begin)
            (given.out / "gpu.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            (given.out / "gpu.md").write_text(markdown(report), encoding="utf-8")
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for gpu.json and gpu.md")
    parser.add_argument("--quick", action="store_true", help="narrow networks, two steps each, without compiling")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cuda", "cpu"])
    parser.add_argument("--steps", type=int, help="timed steps of each (default: 200; 2 where --quick)")
    parser.add_argument("--each-s", type=float, default=8.0, help="seconds after which the steps of one end")
    parser.add_argument("--seconds", type=float, default=480.0, help="after which nothing more is begun")
    asked = parser.parse_args()
    asked.steps = asked.steps or (2 if asked.quick else 200)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    asked.out.mkdir(parents=True, exist_ok=True)
    print(markdown(measure(asked)))
