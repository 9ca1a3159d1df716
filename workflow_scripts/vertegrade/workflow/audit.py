"""The audit of a run: every file that a job read or wrote is hashed again and compared with the manifests."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vertegrade.files import sha256_of
from vertegrade.workflow.code_hash import code_digests, hash_of, script_of
from vertegrade.workflow.manifest import (
    FOLDER,
    HASHED,
    Manifest,
    ManifestError,
    files_below,
    manifest_files,
    manifest_path,
    read_manifest,
)
from vertegrade.workflow.shared_folders import of_other_series

KINDS = ("missing", "altered", "added", "stale", "inconsistent", "orphaned")
Params = Callable[[str, dict[str, str]], dict[str, Any] | None]


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is not as it should be. kind: one of KINDS; job: whose manifest says otherwise ("" for none)."""

    kind: str
    path: str
    job: str
    message: str


@dataclass(frozen=True)
class Audit:
    """What was looked at (jobs, files, bytes hashed) and what was found, sorted.

    seal: one sha256 over all manifests: the same as long as none is edited, lost, added or written again.
    """

    jobs: int
    files: int
    bytes: int
    seal: str
    findings: list[Finding]

    def counts(self) -> dict[str, int]:
        """Findings by kind, all kinds."""
        return {kind: sum(finding.kind == kind for finding in self.findings) for kind in KINDS}


def audit(
    results: str | Path,
    params_now: Params,
    wanted: dict[str, str] | None = None,
    inputs: Iterable[str] = (),
    elsewhere: Iterable[str] = (),
    threads: int = 1,
) -> Audit:
    """Audit the run in `results`, seen from the folder that it ran in.

    params_now: params that a job has now, None where the workflow no longer has it. wanted: what the workflow is to
    make, and the job that makes it. inputs: what it reads now, where a file that a job read may be found again, as
    after a move of the folder that it ran in. elsewhere: folders, such as logs, that do not belong to the run though
    they may lie in `results`.
    """
    findings, manifests = [], dict[Path, Manifest]()
    for file in manifest_files(results):
        try:
            manifests[file] = read_manifest(file, results)
        except ManifestError as error:
            findings.append(Finding("altered", str(file), "", str(error)))
    jobs = list(manifests.values())
    made = {path: (sha, manifest.job) for manifest in jobs for path, sha in manifest.outputs.items()}
    used = {(path, sha): manifest.job for manifest in jobs for path, sha in manifest.inputs.items()}
    folders = {str(folder) for path in made for folder in Path(path).parents}
    now, size = _hash_all(sorted(made.keys() | {path for path, _ in used}), threads)
    findings += _missing(made, used, now, inputs)
    findings += _wanted(wanted or {}, made)
    findings += _changed(made, used, now)
    findings += _added(jobs, folders)
    findings += [finding for manifest in jobs for finding in _stale(manifest, params_now)]
    private = {str(manifest.params["state_dir"]) for manifest in jobs if "state_dir" in manifest.params}
    others = {os.path.abspath(path) for path in (*private, *elsewhere)}
    findings += _orphaned(Path(results), made.keys(), folders, others)
    findings += _orphaned_manifests(Path(results), manifests, {finding.path for finding in findings})
    seal = hashlib.sha256("".join(sorted(manifest.digest for manifest in jobs)).encode()).hexdigest()
    return Audit(len(jobs), len(now), size, seal, sorted(findings))


def _hash_all(paths: list[str], threads: int) -> tuple[dict[str, str], int]:
    """Hashes of those that exist, and their number of bytes."""
    there = [path for path in paths if os.path.isfile(path)]
    with ThreadPoolExecutor(threads) as pool:
        hashes = dict(zip(there, pool.map(sha256_of, there), strict=True))
    return hashes, sum(os.path.getsize(path) for path in there)


Made = dict[str, tuple[str, str]]
Used = dict[tuple[str, str], str]


def _missing(made: Made, used: Used, now: dict[str, str], inputs: Iterable[str]) -> Iterator[Finding]:
    for path, (_, job) in made.items():
        if path not in now:
            yield Finding("missing", path, job, f"{job} wrote it, it is no longer there")
    by_name: dict[str, list[str]] = defaultdict(list)
    for place in inputs:
        for path in files_below(place) if os.path.isdir(place) else filter(os.path.isfile, [place]):
            by_name[os.path.basename(path)].append(path)
    hash_once = cache(sha256_of)
    reported = set()
    for (path, sha), job in used.items():
        if path not in made and path not in now and path not in reported:
            reported.add(path)
            if sha not in map(hash_once, by_name[os.path.basename(path)]):
                yield Finding("missing", path, job, f"{job} read it, it is no longer there")


def _wanted(wanted: dict[str, str], made: Made) -> Iterator[Finding]:
    """What the workflow should make and no job has made, such as a summary that was removed with its manifest."""
    for path, job in wanted.items():
        if path not in made and not os.path.exists(path):
            yield Finding("missing", path, job, f"{job} should make it and has left no manifest")


def _added(manifests: list[Manifest], folders: set[str]) -> Iterator[Finding]:
    """Files that were put into a folder after a job had read it; folders of the run itself can have orphans."""
    found: dict[str, str] = {}
    for manifest in manifests:
        for folder in manifest.given:
            if folder not in folders and os.path.isdir(folder):
                new = [path for path in files_below(folder) if path not in manifest.inputs]
                found |= dict.fromkeys(set(new) - of_other_series(new, manifest.params), manifest.job)
    for path, job in found.items():
        yield Finding("added", path, job, f"in a folder that {job} read, and was not there then")


def _changed(made: Made, used: Used, now: dict[str, str]) -> Iterator[Finding]:
    """Altered: not what its job wrote. Inconsistent: as its job (if any) wrote it, but not what another job read."""
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
        yield Finding("stale", path, manifest.job, f"{manifest.job} ran differently: {changes}")
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
    old, new = manifest.code, code_digests(script_of(manifest.rule))
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
        elif are_rows(value):
            for row in value:
                values |= flat(row, f"{path[:-1]}[{' '.join(str(row[key]) for key in ROW_KEYS if key in row)}].")
        else:
            values[path[:-1]] = value
    return values


ROW_KEYS = ("scan_id", "vertebra", "label")


def are_rows(value: Any) -> bool:
    """Whether a param is rows of the sample sheet or of another table by scan."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) and "scan_id" in row for row in value)


def _orphaned(results: Path, known: Iterable[str], folders: set[str], elsewhere: set[str]) -> Iterator[Finding]:
    """Files and links below `results` that no manifest names; another run's results in it have their own manifests.

    What lies beside these under their name (`grade.yaml` beside `grade/`, folder_run.py) is that run's too.
    folders: those that contain outputs of jobs; only into these are links followed.
    """
    known = {os.path.normpath(path) for path in known}
    for folder, inside, files in os.walk(results, followlinks=True):
        paths = [os.path.join(folder, name) for name in sorted(inside)]
        links = [path for path in paths if os.path.islink(path) and path not in folders]
        other_runs = [path for path in paths if manifest_files(path)]
        inside[:] = [
            os.path.basename(path)
            for path in paths
            if path not in links
            and path != str(results / FOLDER)
            and os.path.abspath(path) not in elsewhere
            and path not in other_runs
        ]
        for path in [*links, *(os.path.join(folder, name) for name in files)]:
            if path.startswith(tuple(f"{run}." for run in other_runs)):
                continue
            if path not in known and os.path.basename(path) != ".snakemake_timestamp":
                yield Finding("orphaned", path, "", "no job says that it made this")


def _orphaned_manifests(results: Path, manifests: dict[Path, Manifest], reported: set[str]) -> Iterator[Finding]:
    """Files among the manifests that are none, or not in their place, without those reported as altered."""
    own = {
        file
        for file, manifest in manifests.items()
        if file == manifest_path(results, manifest.rule, manifest.wildcards)
    }
    for folder, inside, files in os.walk(results / FOLDER):
        links = [name for name in inside if os.path.islink(os.path.join(folder, name))]
        for path in (Path(folder, name) for name in (*links, *files)):
            if path not in own and path != results / FOLDER / HASHED and str(path) not in reported:
                yield Finding("orphaned", str(path), "", "not the manifest of a job in its place")
