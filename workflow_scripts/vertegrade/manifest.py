"""What each job leaves about itself: `<results>/manifest/{rule}/{wildcards}.json`, read by audit, lineage and export.

docs/audit.md says what stands in it. Paths are as the workflow gives them, relative to the folder that it runs in.
"""

import importlib.metadata
import json
import platform
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vertegrade.files import file_hashes, read_json, write_json
from vertegrade.gpus import gpus_asked_for

PACKAGES = ["numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "nibabel", "pydicom", "highdicom", "torch", "monai"]
PACKAGES += ["diffusers", "statsmodels", "matplotlib", "snakemake"]
FOLDER = "manifest"


class ManifestError(ValueError):
    """A manifest cannot be read; the message names its file."""


@dataclass(frozen=True)
class Manifest:
    """One job that ran.

    inputs, outputs: sha256 by path, folders file by file. params: the rule's params, with settings, code hash and seed.
    code: digest of each file of the rule's code, by its path from workflow_scripts/.
    resources: wall_s, cpu_s (of the script and the programs it called), peak_rss_mb, threads, device, gpus.
    started, finished: UTC.
    """

    rule: str
    wildcards: dict[str, str]
    inputs: dict[str, str]
    outputs: dict[str, str]
    params: dict[str, Any]
    code: dict[str, str]
    resources: dict[str, Any]
    versions: dict[str, str]
    host: str
    started: str
    finished: str

    @property
    def job(self) -> str:
        """The job as people name it."""
        return job_name(self.rule, self.wildcards)


def job_name(rule: str, wildcards: dict[str, str]) -> str:
    """A job as people name it: rule, or rule and wildcards."""
    values = ", ".join(f"{name}={value}" for name, value in sorted(wildcards.items()))
    return f"{rule} ({values})" if values else rule


def manifest_path(results: str | Path, rule: str, wildcards: dict[str, str]) -> Path:
    """Where the manifest of a job lies; no wildcard has a _ in it."""
    return Path(results, FOLDER, rule, f"{'_'.join(wildcards[name] for name in sorted(wildcards)) or 'all'}.json")


def write_manifest(job: Any, results: str, started: datetime, device: str, code: dict[str, str]) -> None:
    """Write the manifest of a job that has just ended; `job` is the object that Snakemake gives a script.

    code: digests of the files that it loaded.
    """
    wildcards = {name: str(value) for name, value in job.wildcards.items()}
    finished = datetime.now(UTC)
    manifest = Manifest(
        rule=job.rule,
        wildcards=wildcards,
        inputs=file_hashes([*job.input, *job.params.get("unlisted", {})]),
        outputs=file_hashes(job.output),
        params=plain(dict(job.params.items())),
        code=code,
        resources=_resources(job, device, (finished - started).total_seconds()),
        versions=_versions(),
        host=platform.node(),
        started=started.isoformat(timespec="milliseconds"),
        finished=finished.isoformat(timespec="milliseconds"),
    )
    write_json(manifest_path(results, job.rule, wildcards), vars(manifest))


def plain(params: dict[str, Any]) -> dict[str, Any]:
    """Params as JSON gives them back, so that recorded and present ones compare."""
    values: dict[str, Any] = json.loads(json.dumps(params, default=str))
    return values


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file, or ManifestError."""
    try:
        return Manifest(**read_json(path))
    except (OSError, ValueError, TypeError) as error:
        raise ManifestError(f"{path}: not a manifest of this version ({error})") from error


def manifest_files(results: str | Path) -> list[Path]:
    """The manifest files of a run, sorted, without those that another job is about to write."""
    return sorted(Path(results, FOLDER).glob("*/[!.]*.json"))


def read_manifests(results: str | Path) -> Iterator[Manifest]:
    """All manifests of a run in the order of their files; ManifestError where one cannot be read."""
    return map(read_manifest, manifest_files(results))


def _resources(job: Any, device: str, wall_s: float) -> dict[str, Any]:
    """What the job took. Linux gives the resident set in kB."""
    own, called = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(wall_s, 3),
        "cpu_s": round(sum(use.ru_utime + use.ru_stime for use in (own, called)), 3),
        "peak_rss_mb": round(max(own.ru_maxrss, called.ru_maxrss) / 1024, 1),
        "threads": job.threads,
        "device": _device_name(device),
        "gpus": max(1, gpus_asked_for(job.resources)[0]) if device == "cuda" else 0,
    }


def _device_name(device: str) -> str:
    """`cpu`, or the GPU's name."""
    torch = sys.modules.get("torch")
    return str(torch.cuda.get_device_name()) if torch and device == "cuda" else "cpu"


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **versions}
