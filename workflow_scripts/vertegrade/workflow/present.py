"""Whether a job's results still follow from what is there: its manifest compared with files, settings and code.

Content decides, not time. A file with the size, mtime and ctime that it had when it was hashed is taken as the same,
any other is hashed again. docs/design/reruns.md.
"""

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertegrade.files import sha256_of, write_text
from vertegrade.workflow.audit import describe_changes
from vertegrade.workflow.code_hash import hash_of
from vertegrade.workflow.manifest import (
    FOLDER,
    HASHED,
    Manifest,
    ManifestError,
    files_below,
    inputs_of,
    look_of,
    manifest_path,
    plain,
    read_manifest,
)
from vertegrade.workflow.shared_folders import of_other_series

SHOWN = 3


@dataclass(frozen=True)
class Job:
    """A job as the workflow has it now: inputs and outputs as the rule names them, params as JSON gives them back."""

    rule: str
    wildcards: dict[str, str]
    inputs: list[str]
    outputs: list[str]
    params: dict[str, Any]


def job_of_plan(planned: Any) -> Job:
    """A job of Snakemake's plan."""
    return Job(
        rule=planned.rule.name,
        wildcards={name: str(value) for name, value in planned.wildcards_dict.items()},
        inputs=inputs_of(planned.input, planned.params),
        outputs=[str(Path(path)) for path in planned.output],
        params=plain(dict(planned.params.items())),
    )


class Hashes:
    """SHA-256 of the present files. What had to be hashed again is kept next to the manifests."""

    def __init__(self, results: str | Path) -> None:
        self._file = Path(results, FOLDER, HASHED)
        try:
            self._known: dict[str, tuple[list[int], str]] = json.loads(self._file.read_bytes())
        except (OSError, ValueError):  # not yet, or damaged: then all is hashed once more
            self._known = {}
        self._new = False

    def of(self, path: str, look: list[int] | None = None, sha: str = "") -> str | None:
        """Hash of a file, None where there is none. look: what it looked like when its hash was `sha`."""
        try:
            now = look_of(path)
        except OSError:
            return None
        if now == look:
            return sha
        known = self._known.get(path)
        if known is None or list(known[0]) != now:
            known = self._known[path] = (now, sha256_of(path))
            self._new = True
        return known[1]

    def remember(self) -> None:
        """Keep what was hashed for the next time, where the results may be written."""
        if self._new:
            with suppress(OSError):
                write_text(self._file, json.dumps(self._known))


def contradictions(job: Job, results: str | Path, made: Collection[str], hashes: Hashes) -> list[str]:
    """In words, what speaks against a job's results that are there; none where nothing does.

    made: files and folders that jobs of the run make; whether they are as made is asked of the job that makes them.
    """
    path = manifest_path(results, job.rule, job.wildcards)
    if not path.exists():
        return [f"{path} is not there, so nothing says what its results were made from"]
    try:
        manifest = read_manifest(path, results)
    except ManifestError as error:
        return [str(error)]
    words = [] if job.params == manifest.params else describe_changes(manifest, job.params)
    if hash_of(manifest.code) != manifest.params.get("code", hash_of(manifest.code)):
        words.append("it ran other code than it was planned with")
    return [*words, *_of_outputs(job, manifest, hashes), *_of_inputs(job, manifest, made, hashes)]


def _of_outputs(job: Job, manifest: Manifest, hashes: Hashes) -> Iterator[str]:
    """Outputs that are not as written. One that is completely gone is left to Snakemake: it is made when needed."""
    gone = {output for output in job.outputs if not os.path.exists(output)}
    lost, altered = [], []
    for path, sha in manifest.outputs.items():
        now = hashes.of(path, manifest.looks.get(path), sha)
        if now is None and _root(path, gone) is None:
            lost.append(path)
        elif now not in (None, sha):
            altered.append(path)
    if lost:
        yield f"{some(lost)} is not there"
    if altered:
        yield f"{some(altered)} is not as it was written"


def _of_inputs(job: Job, manifest: Manifest, made: Collection[str], hashes: Hashes) -> Iterator[str]:
    named = set(job.inputs)
    gone, changed = [], []
    for path, sha in manifest.inputs.items():
        now = hashes.of(path, manifest.looks.get(path), sha)
        if _root(path, named) is None or (now is None and _root(path, made) is None):
            gone.append(path)
        elif now not in (None, sha):
            changed.append(path)
    new = [path for path in _files(manifest, named, made) if path not in manifest.inputs]
    new = sorted(set(new) - of_other_series(new, job.params))
    for path, twin in _moved(gone, new, manifest, hashes):
        gone.remove(path)
        new.remove(twin)
    if changed:
        yield f"{some(changed)} was changed"
    if new:
        yield f"new input {some(new)}"
    if gone:
        yield f"no longer an input: {some(gone)}"


def _files(manifest: Manifest, named: Iterable[str], made: Collection[str]) -> Iterator[str]:
    """Files that the inputs are now; a folder that a job makes means its files, which that job's manifest lists."""
    for path in named:
        if path in made or not os.path.isdir(path):
            if path not in manifest.given and os.path.exists(path):
                yield path
        else:
            yield from files_below(path)


def _moved(gone: list[str], new: list[str], manifest: Manifest, hashes: Hashes) -> list[tuple[str, str]]:
    """Inputs that are there under another path with the same name and content, with that path."""
    by_name = defaultdict(list)
    for path in new if gone else []:
        by_name[os.path.basename(path)].append(path)
    found = []
    for path in gone:
        twins = by_name[os.path.basename(path)]
        twin = next((other for other in twins if hashes.of(other) == manifest.inputs[path]), None)
        if twin:
            twins.remove(twin)
            found.append((path, twin))
    return found


def _root(path: str, roots: Collection[str]) -> str | None:
    """Which of the files and folders a path is or lies in."""
    while path not in roots:
        path, before = os.path.dirname(path), path
        if path in ("", before):
            return None
    return path


def some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
