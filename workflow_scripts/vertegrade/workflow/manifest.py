"""What each job leaves about itself: `<results>/manifest/{rule}/{wildcards}.json`, read by audit, lineage and export.

docs/reference/audit.md says what it contains. Paths are as the workflow gives them, relative to the folder that it
runs in.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from vertegrade.files import is_litter, sha256_of, write_text
from vertegrade.gpus import gpus_asked_for

PACKAGES = ["numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "nibabel", "pydicom", "torch", "diffusers"]
PACKAGES += ["matplotlib", "snakemake"]
FOLDER = "manifest"
HASHED = ".hashed.json"  # next to the manifests: files hashed again by workflow/present.py; no part of the record
UNSEALED = "0" * 64
MOVED = ("given", "inputs", "outputs", "looks", "params")  # what contains paths


class ManifestError(ValueError):
    """A manifest cannot be read; the message names its file."""


@dataclass(frozen=True)
class Manifest:
    """One job that ran.

    results: the run's folder, as its settings name it. given: inputs as the rule names them, files and folders.
    inputs, outputs: sha256 by path, folders file by file. looks: how each of these files looked when it was hashed
    (`look_of`). params: the rule's params, with settings, code hash and seed.

    code: digest of each file of the rule's code, by its path from workflow_scripts/.
    resources: wall_s, cpu_s (of the script and the programs it called), peak_rss_mb, threads, device, gpus.
    started, finished: UTC. digest: sha256 of the manifest's own file with this value zeroed; it shows an edit.
    """

    rule: str
    wildcards: dict[str, str]
    results: str
    given: list[str]
    inputs: dict[str, str]
    outputs: dict[str, str]
    looks: dict[str, list[int]]
    params: dict[str, Any]
    code: dict[str, str]
    resources: dict[str, Any]
    versions: dict[str, str]
    host: str
    started: str
    finished: str
    digest: str = UNSEALED

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
    given = inputs_of(job.input, job.params)
    inputs, outputs = _files_of(given), _files_of(job.output)
    looks = {path: look_of(path) for path in (*inputs, *outputs)}  # before the hashes: a change meanwhile shows later
    manifest = Manifest(
        rule=job.rule,
        wildcards=wildcards,
        results=str(Path(results)),
        given=given,
        inputs={path: sha256_of(path) for path in inputs},
        outputs={path: sha256_of(path) for path in outputs},
        looks=looks,
        params=plain(dict(job.params.items())),
        code=code,
        resources=_resources(job, device, (finished - started).total_seconds()),
        versions=_versions(),
        host=platform.node(),
        started=started.isoformat(timespec="milliseconds"),
        finished=finished.isoformat(timespec="milliseconds"),
    )
    save_manifest(manifest_path(results, job.rule, wildcards), manifest)


def inputs_of(named: Iterable[str], params: Any) -> list[str]:
    """A job's inputs, files and folders, sorted, with those that are no inputs to Snakemake (rules/common.smk)."""
    return sorted({str(Path(path)) for path in (*named, *params.get("unlisted", []))})


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest with the digest of its own text."""
    text = json.dumps(vars(manifest) | {"digest": UNSEALED}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_text(path, text.replace(_seal(UNSEALED), _seal(digest), 1))


def _seal(digest: str) -> str:
    return f'"digest": "{digest}"'


def look_of(path: str) -> list[int]:
    """Facts of a file that change with its content, without reading it: size, mtime and ctime (ns).

    Nobody can set ctime: a replaced file is noticed even with the size and the mtime of the old one.
    """
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def files_below(folder: str) -> Iterator[str]:
    """Files of a folder as manifests name them, without litter."""
    for place, _, names in os.walk(folder):
        yield from (os.path.join(place, name) for name in names if not is_litter(name))


def _files_of(paths: Iterable[str]) -> list[str]:
    """Files, and files in folders, sorted; what is not there is left out."""
    found: set[str] = set()
    for path in map(str, map(Path, paths)):
        found.update(files_below(path) if os.path.isdir(path) else [path])
    return sorted(file for file in found if os.path.isfile(file))


def plain(params: dict[str, Any]) -> dict[str, Any]:
    """Params as JSON gives them back, so that recorded and present ones compare."""
    values: dict[str, Any] = json.loads(json.dumps(params, default=str))
    return values


def read_manifest(path: Path, results: str | Path) -> Manifest:
    """The manifest in a file; ManifestError where it is not one or was edited.

    results: where the run's folder is now. Paths in a manifest of results that were moved or copied are given as they
    are now.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text)
        manifest = Manifest(**values)
    except (OSError, ValueError, TypeError) as error:
        raise ManifestError(f"{path}: not a manifest of this version ({error})") from error
    unsealed = text.replace(_seal(manifest.digest), _seal(UNSEALED), 1)
    if hashlib.sha256(unsealed.encode()).hexdigest() != manifest.digest:
        raise ManifestError(f"{path}: edited after its job wrote it")
    now = str(Path(results))
    if manifest.results == now:
        return manifest
    moved = {name: _moved(values[name], manifest.results, now) for name in MOVED}
    return Manifest(**(values | moved | {"results": now}))


def _moved(value: Any, old: str, new: str) -> Any:
    """The same with each path below the folder `old` as one below the folder `new`."""
    if isinstance(value, dict):
        return {_moved(key, old, new): _moved(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, old, new) for item in value]
    if isinstance(value, str) and value.startswith(f"{old}/"):
        return new + value[len(old) :]
    return value


def manifest_files(results: str | Path) -> list[Path]:
    """The manifest files of a run, sorted, without those that another job is about to write."""
    return sorted(Path(results, FOLDER).glob("*/[!.]*.json"))


def read_manifests(results: str | Path) -> Iterator[Manifest]:
    """All manifests of a run in the order of their files; ManifestError where one cannot be read."""
    return (read_manifest(file, results) for file in manifest_files(results))


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


@cache
def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **versions}
