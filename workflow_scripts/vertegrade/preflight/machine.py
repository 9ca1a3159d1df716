"""Disk, GPU, programs and files of a run, as this machine has them."""

import importlib.util
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from vertegrade.annotations.tools import TOOLS
from vertegrade.cohort.sheet import ScanRow
from vertegrade.preflight.start import methods_of
from vertegrade.report.patients.printing import browser, no_browser
from vertegrade.settings import Settings

# Size of our volumes (gzip) over that of their source, at most: 1.6 was measured for JPEG 2000, 0.5 for plain DICOM.
VOLUME_SHARE = 2.0
LEVELS_PER_SCAN = 20
OVERHEAD_MB = 500  # models, tables, pictures, logs


def check_machine(settings: Settings, rows: Iterable[ScanRow], cluster: bool) -> list[str]:
    """Problems of this machine; on a cluster the GPU is in another machine."""
    problems = [*_disk(settings, list(rows)), *_tool(settings)]
    if settings.report.pdf and not browser():
        problems.append(no_browser())
    if settings.run.device == "cuda" and not cluster:
        problems += _gpu()
    return problems


def needed_mb(settings: Settings, rows: Iterable[ScanRow]) -> float:
    """What a run will write at most, in MB: volumes, crops, the rest."""
    rows = list(rows)
    source = sum(_size(Path(row.path)) for row in rows)
    crop = settings.crop.size**2 * settings.crop.slices * 2
    patch = settings.patches.size**3 * (1 + settings.patches.bodies) * 2
    patch *= settings.patches_needed(methods_of(settings, rows))
    return (source * VOLUME_SHARE + (crop + patch) * LEVELS_PER_SCAN * len(rows)) / 1e6 + OVERHEAD_MB


def _size(path: Path) -> int:
    """Bytes of a file or of all files of a folder; 0 for what cannot be read, which the check of the sheet reports."""
    try:
        if path.is_file():
            return path.stat().st_size
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    except OSError:
        return 0


def _disk(settings: Settings, rows: list[ScanRow]) -> Iterator[str]:
    named = {"results": settings.run.results} | ({"logs": settings.run.logs} if settings.run.logs else {})
    for key, name in named.items():
        folder = Path(name).absolute()
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            yield f"run.{key} = {name}: {folder} is no folder that you may write to; name another"
        elif key == "results":
            free, needed = shutil.disk_usage(folder).free / 1e6, needed_mb(settings, rows)
            if free < needed:
                yield f"run.results = {name}: {free:.0f} MB are free, up to {needed:.0f} MB are needed; free some"


def _tool(settings: Settings) -> Iterator[str]:
    tool = TOOLS.get(settings.localize.method)
    if tool and shutil.which(tool.program) is None:
        yield f"localize.method = {settings.localize.method}: no {tool.program} on the PATH; {tool.remedy}"


def _gpu() -> Iterator[str]:
    if importlib.util.find_spec("torch") is None:
        yield "run.device = cuda: torch is not installed; make the environment again (make .venv/ready)"
        return
    import torch

    if not torch.cuda.is_available():
        yield "run.device = cuda: torch sees no GPU here; use `auto` or `cpu`, or check the driver (nvidia-smi)"
