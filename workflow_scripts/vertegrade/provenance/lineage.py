"""The lineage of one vertebra's grade: every job, file, setting and code version behind it, back to its scan."""

import difflib
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from vertegrade.ct.reasons import FLAGS, VERTEBRA_FLAGS
from vertegrade.levels import LABELS, is_uncertain, level_text
from vertegrade.manifest import Manifest
from vertegrade.provenance.check import flat
from vertegrade.tables import doubt_of

# How a job or file stands to the vertebra.
OWN, SHARED, LEARNED = "this scan", "cohort", "learned from"
COLUMNS = ["relation", "rule", "wildcards", "kind", "name", "value"]


class LineageError(ValueError):
    """There is no such vertebra."""


@dataclass(frozen=True)
class Step:
    """A job behind the grade. relation: OWN (the shard of the scan), SHARED, or LEARNED (shards that models saw)."""

    manifest: Manifest
    relation: str


def graded_rows(predictions: pd.DataFrame, scan_id: str, level: str) -> pd.DataFrame:
    """Rows of PREDICTIONS, of any methods, for a vertebra by its level's name; LineageError where there is none."""
    scans = sorted(set(predictions["scan_id"]))
    if scan_id not in scans:
        near = difflib.get_close_matches(scan_id, scans, n=1, cutoff=0)
        raise LineageError(f"no predictions for scan {scan_id!r}" + (f"; is it {near[0]!r}?" if near else ""))
    of_scan = predictions[predictions["scan_id"] == scan_id]
    rows = of_scan[of_scan["vertebra"] == LABELS.get(level, -1)]
    if rows.empty:
        names = [name for name, label in LABELS.items() if label in set(of_scan["vertebra"])]
        raise LineageError(f"scan {scan_id} has no vertebra {level!r}; it has {', '.join(names)}")
    return rows


def steps_behind(paths: Iterable[str], manifests: list[Manifest], shard: str) -> list[Step]:
    """Every job that the files follow from, in the order in which they ended. shard: that of the scan."""
    maker = {path: manifest for manifest in manifests for path in manifest.outputs}
    todo, found = list(paths), dict[str, Manifest]()
    while todo:
        manifest = maker.get(todo.pop())
        if manifest is not None and manifest.job not in found:
            found[manifest.job] = manifest
            todo += manifest.inputs
    ordered = sorted(found.values(), key=lambda manifest: (manifest.finished, manifest.job))
    return [Step(manifest, _relation(manifest, shard)) for manifest in ordered]


def _relation(manifest: Manifest, shard: str) -> str:
    if "shard" not in manifest.wildcards:
        return SHARED
    return OWN if manifest.wildcards["shard"] == shard else LEARNED


def files_of(step: Step, scan_id: str, others: dict[str, set[str]]) -> Iterator[tuple[str, str, str, str]]:
    """Files of a job: relation, `read` or `written`, path, sha256. others: `paths_by_scan` of the cohort."""
    for kind, files in (("read", step.manifest.inputs), ("written", step.manifest.outputs)):
        for path, sha in files.items():
            whose = _scan_of(path, others)
            other = whose is not None and whose != scan_id
            relation = LEARNED if other else step.relation if whose is None else OWN
            yield relation, kind, path, sha


def paths_by_scan(rows: Iterable[dict[str, str]]) -> dict[str, set[str]]:
    """Which scan a path belongs to: by the paths of the sample sheet, and by names that begin with a scan's id."""
    places: dict[str, set[str]] = {}
    for row in rows:
        for place in (row["path"], row["mask"], row["centroids"], row["scan_id"]):
            if place:
                places.setdefault(os.path.normpath(place), set()).add(row["scan_id"])
    return places


def _scan_of(path: str, places: dict[str, set[str]]) -> str | None:
    """The scan that a file is of, None for files of several: tables, arrays, models."""
    folder = path
    while folder not in ("", "/"):
        if folder in places:
            scans = places[folder]
            return next(iter(scans)) if len(scans) == 1 else None
        folder = os.path.dirname(folder)
    name = os.path.basename(path)
    ids = {name.split("_")[0], name.split(".")[0]} & places.keys()
    return next(iter(ids)) if len(ids) == 1 else None


def lineage_table(steps: list[Step], scan_id: str, others: dict[str, set[str]]) -> pd.DataFrame:
    """Everything, one row a fact. kind: read, written, setting, code, package, run (where, when, how long)."""
    rows = []
    for step in steps:
        manifest = step.manifest
        wildcards = " ".join(f"{name}={value}" for name, value in manifest.wildcards.items())
        start = (manifest.rule, wildcards)
        rows += [(r, *start, kind, path, sha) for r, kind, path, sha in files_of(step, scan_id, others)]
        facts = {
            "setting": _settings(manifest),
            "code": manifest.code,
            "package": manifest.versions,
            "run": _run(manifest),
        }
        rows += [
            (step.relation, *start, kind, name, str(value))
            for kind, values in facts.items()
            for name, value in values.items()
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _settings(manifest: Manifest) -> dict[str, Any]:
    return flat({name: value for name, value in manifest.params.items() if name != "packages"})


def _run(manifest: Manifest) -> dict[str, Any]:
    return {"host": manifest.host, "started": manifest.started, "finished": manifest.finished, **manifest.resources}


def lineage_page(rows: pd.DataFrame, steps: list[Step], table: pd.DataFrame, level: str) -> str:
    """The page as HTML: the grades, what is doubtful, then each job with its files; other scans' files are counted."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    template = environment.get_template("lineage.html.j2")
    confidence = float(doubt_of(rows)["label_confidence"].iloc[0])
    name = level_text(LABELS[level], confidence)
    own = [_shown(step, table) for step in steps if step.relation != LEARNED]
    learned = table[table["relation"] == LEARNED]
    return template.render(
        vertebra=f"{rows['scan_id'].iloc[0]}{',' if is_uncertain(confidence) else ''} {name}",
        label_confidence=None if math.isnan(confidence) else confidence,
        grades=rows.to_dict("records"),
        flags=[(flag, (FLAGS | VERTEBRA_FLAGS)[flag]) for flag in sorted(set(rows["flags"].str.split().sum()))],
        steps=own,
        learned=learned[learned["kind"] == "written"].groupby("rule").size().to_dict(),
        learned_jobs=sum(step.relation == LEARNED for step in steps),
        sources=own_sources(steps, table),
    )


def own_sources(steps: list[Step], table: pd.DataFrame) -> list[tuple[str, str]]:
    """Path and sha256 of the scan's files that no job of the run made: what the grade begins with."""
    made = {path for step in steps for path in step.manifest.outputs}
    read = table[(table["relation"] == OWN) & (table["kind"] == "read") & ~table["name"].isin(made)]
    return sorted(set(zip(read["name"], read["value"], strict=True)))


def _shown(step: Step, table: pd.DataFrame) -> dict[str, Any]:
    manifest = step.manifest
    wildcards = " ".join(f"{name}={value}" for name, value in manifest.wildcards.items())
    facts = table[(table["rule"] == manifest.rule) & (table["wildcards"] == wildcards)]
    of_others = facts["relation"] == LEARNED
    lists = {
        str(kind): list(zip(group["name"], group["value"], strict=True))
        for kind, group in facts[~of_others].groupby("kind")
    }
    return lists | {"manifest": manifest, "others": int(of_others.sum())}
