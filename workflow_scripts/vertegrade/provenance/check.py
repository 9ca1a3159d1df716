"""The audit of a run: every file that a job read or wrote is hashed again and held against the manifests."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertegrade.code_hash import code_digests, hash_of
from vertegrade.files import sha256_of
from vertegrade.manifest import FOLDER, Manifest, ManifestError, manifest_files, read_manifest

KINDS = ("missing", "altered", "stale", "inconsistent", "orphaned")
Params = Callable[[str, dict[str, str]], dict[str, Any] | None]


@dataclass(frozen=True, order=True)
class Finding:
    """Something that does not hold. kind: one of KINDS; job: whose manifest says otherwise ("" for orphans)."""

    kind: str
    path: str
    job: str
    message: str


@dataclass(frozen=True)
class Audit:
    """What was looked at (jobs, files, bytes hashed) and what was found, sorted."""

    jobs: int
    files: int
    bytes: int
    findings: list[Finding]

    def counts(self) -> dict[str, int]:
        """Findings by kind, all kinds."""
        return {kind: sum(finding.kind == kind for finding in self.findings) for kind in KINDS}


def audit(results: str | Path, params_now: Params, elsewhere: Iterable[str] = (), threads: int = 1) -> Audit:
    """Audit the run in `results`, seen from the folder that it ran in.

    params_now: params that a job has now, None where the workflow has it no longer. elsewhere: folders, such as logs,
    that are not of the run though they may lie in `results`.
    """
    findings, manifests = [], []
    for file in manifest_files(results):
        try:
            manifests.append(read_manifest(file))
        except ManifestError as error:
            findings.append(Finding("altered", str(file), "", str(error)))
    made = {path: (sha, manifest.job) for manifest in manifests for path, sha in manifest.outputs.items()}
    used = {(path, sha): manifest.job for manifest in manifests for path, sha in manifest.inputs.items()}
    now, size = _hash_all(sorted(made.keys() | {path for path, _ in used}), threads)
    findings += _missing(made, used, now)
    findings += _changed(made, used, now)
    findings += [finding for manifest in manifests for finding in _stale(manifest, params_now)]
    private = {str(manifest.params["state_dir"]) for manifest in manifests if "state_dir" in manifest.params}
    findings += _orphaned(Path(results), made.keys(), {os.path.abspath(path) for path in (*private, *elsewhere)})
    return Audit(len(manifests), len(now), size, sorted(findings))


def _hash_all(paths: list[str], threads: int) -> tuple[dict[str, str], int]:
    """Hashes of those that exist, and the number of bytes behind them."""
    there = [path for path in paths if os.path.isfile(path)]
    with ThreadPoolExecutor(threads) as pool:
        hashes = dict(zip(there, pool.map(sha256_of, there), strict=True))
    return hashes, sum(os.path.getsize(path) for path in there)


Made = dict[str, tuple[str, str]]
Used = dict[tuple[str, str], str]


def _missing(made: Made, used: Used, now: dict[str, str]) -> Iterator[Finding]:
    for path, (_, job) in made.items():
        if path not in now:
            yield Finding("missing", path, job, f"{job} wrote it, it is no longer there")
    for path in {path for path, _ in used} - made.keys() - now.keys():
        job = next(job for (name, _), job in used.items() if name == path)
        yield Finding("missing", path, job, f"{job} read it, it is no longer there")


def _changed(made: Made, used: Used, now: dict[str, str]) -> Iterator[Finding]:
    """Altered: not what its job wrote. Inconsistent: not what a job read, though as its maker wrote it, if any did."""
    for path, (sha, job) in made.items():
        if now.get(path, sha) != sha:
            yield Finding("altered", path, job, f"not as {job} wrote it: {now[path][:12]}, was {sha[:12]}")
    for (path, sha), job in used.items():
        as_made = path not in made or now.get(path) == made[path][0]
        if now.get(path, sha) != sha and as_made:
            yield Finding("inconsistent", path, job, f"changed after {job} read it: {now[path][:12]}, was {sha[:12]}")


def _stale(manifest: Manifest, params_now: Params) -> Iterator[Finding]:
    now = params_now(manifest.rule, manifest.wildcards)
    path = min(manifest.outputs, default="")
    if now is None:
        yield Finding("stale", path, manifest.job, f"the workflow no longer has {manifest.job}; delete its outputs")
    elif now != manifest.params:
        changes = "; ".join(describe_changes(manifest, now))
        yield Finding("stale", path, manifest.job, f"{manifest.job} ran otherwise: {changes}")
    elif hash_of(manifest.code) != manifest.params.get("code", hash_of(manifest.code)):
        changes = "; ".join(_code_changes(manifest))
        words = f"{manifest.job} ran other code than it was planned with: {changes}; remove its outputs and run again"
        yield Finding("stale", path, manifest.job, words)


def describe_changes(manifest: Manifest, now: dict[str, Any]) -> list[str]:
    """What differs between a job that ran and its params now, in words: each key before and now, each code file."""
    old, new = flat(manifest.params), flat(now)
    words = []
    for key in sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key)):
        if key == "code":
            words += _code_changes(manifest)
        elif key not in old:
            words.append(f"{key} is new: {new[key]!r}")
        elif key not in new:
            words.append(f"{key} is gone, was {old[key]!r}")
        else:
            words.append(f"{key} was {old[key]!r}, is {new[key]!r}")
    return words


def _code_changes(manifest: Manifest) -> list[str]:
    old, new = manifest.code, code_digests(manifest.rule)
    files = sorted(file for file in old.keys() | new.keys() if old.get(file) != new.get(file))
    verbs = {(True, True): "was changed", (False, True): "is new", (True, False): "is gone"}
    return [f"code: {file} {verbs[file in old, file in new]}" for file in files] or ["its code was changed"]


def flat(params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Params by dotted name, without `settings.` and `packages.`; a scan's rows go by their scan."""
    values: dict[str, Any] = {}
    for name, value in params.items():
        path = "" if not prefix and name in ("settings", "packages") else f"{prefix}{name}."
        if isinstance(value, dict):
            values |= flat(value, path)
        elif _are_rows(value):
            for row in value:
                values |= flat(row, f"{path[:-1]}[{' '.join(str(row[key]) for key in ROW_KEYS if key in row)}].")
        else:
            values[path[:-1]] = value
    return values


ROW_KEYS = ("scan_id", "vertebra", "label")


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) and "scan_id" in row for row in value)


def _orphaned(results: Path, known: Iterable[str], elsewhere: set[str]) -> Iterator[Finding]:
    """Files below `results` that no manifest names; another run's results in it have manifests of their own."""
    known = {os.path.normpath(path) for path in known}
    for folder, folders, files in os.walk(results):
        inside = (os.path.join(folder, name) for name in sorted(folders))
        folders[:] = [
            os.path.basename(path)
            for path in inside
            if path != str(results / FOLDER)
            and os.path.abspath(path) not in elsewhere
            and not os.path.isdir(os.path.join(path, FOLDER))
        ]
        for name in files:
            path = os.path.join(folder, name)
            if path not in known and name != ".snakemake_timestamp":
                yield Finding("orphaned", path, "", "no job says that it made this")
