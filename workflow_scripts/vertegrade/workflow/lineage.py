"""The lineage of one vertebra's grade: every job, file, setting and code version behind it, back to its scan.

Files of the scan, and those of its whole cohort, are listed one by one. Files of other scans are listed folder by
folder, with one digest for all. Jobs on other shards have the digest of their manifest, which contains the rest.
"""

import difflib
import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from vertegrade.files import sha256_of
from vertegrade.level_texts import is_uncertain, level_text
from vertegrade.levels import LABEL_OF
from vertegrade.reasons import FLAGS
from vertegrade.tables import doubt_of
from vertegrade.vertebra_reasons import VERTEBRA_FLAGS
from vertegrade.workflow.audit import are_rows, flat
from vertegrade.workflow.manifest import Manifest, manifest_path

# How a job or file is related to the vertebra.
OWN, SHARED, LEARNED, SAME_RUN = "this scan", "cohort", "learned from", "graded in the same run"
COLUMNS = ["relation", "results", "rule", "wildcards", "kind", "name", "value"]
LEARNING = {"train_localizer", "fit_heights", "train_dae", "train_pca", "fit_hyperplane", "calibrate", "fit_novelty"}
LEARNING |= {"train_supervised", "train_supcon", "train_seq2seq", "calibrate_scores"}
LEARNING_SPLITS = ("train", "validation")
ALONE = 8  # files of other scans in one folder that are still listed one by one


class LineageError(ValueError):
    """There is no such vertebra, or its files do not follow from each other."""


@dataclass(frozen=True)
class Step:
    """A job behind the grade. relation: OWN (the shard of the scan), SHARED, LEARNED (a shard that models learned from)
    or SAME_RUN (another shard, which no model learned from)."""

    manifest: Manifest
    relation: str


@dataclass(frozen=True)
class Scans:
    """The scans of one run. places: `paths_by_scan` of its sheet; learned: those that its models learned from."""

    places: dict[str, set[str]]
    learned: set[str]


def graded_rows(predictions: pd.DataFrame, scan_id: str, level: str) -> pd.DataFrame:
    """Rows of PREDICTIONS, of any methods, for a vertebra by its level's name; LineageError where there is none."""
    scans = sorted(set(predictions["scan_id"]))
    if scan_id not in scans:
        near = difflib.get_close_matches(scan_id, scans, n=1, cutoff=0)
        raise LineageError(f"no predictions for scan {scan_id!r}" + (f"; is it {near[0]!r}?" if near else ""))
    of_scan = predictions[predictions["scan_id"] == scan_id]
    rows = of_scan[of_scan["vertebra"] == LABEL_OF.get(level, -1)]
    if rows.empty:
        names = [name for name, label in LABEL_OF.items() if label in set(of_scan["vertebra"])]
        raise LineageError(f"scan {scan_id} has no vertebra {level!r}; it has {', '.join(names)}")
    return rows


def steps_behind(files: dict[str, str], manifests: list[Manifest], shard: str, results: str) -> list[Step]:
    """Every job that the files (sha256 by path) follow from, in the order in which they ended.

    manifests: of the run in `results`, and of the run of its given model. shard: that of the scan. LineageError where a
    file was made again after it was read.
    """
    maker = {path: manifest for manifest in manifests for path in manifest.outputs}
    behind = _makers(files.items(), maker)
    learned = _makers((file for job in behind if job.rule in LEARNING for file in job.inputs.items()), maker)
    own = {("shard", shard), ("results", results)}
    ordered = sorted(behind, key=lambda manifest: (manifest.finished, manifest.job))
    seen = {id(manifest) for manifest in learned}
    return [Step(manifest, _relation(manifest, own, id(manifest) in seen)) for manifest in ordered]


def _makers(files: Iterable[tuple[str, str]], maker: dict[str, Manifest]) -> list[Manifest]:
    """The jobs that made files (path and sha256), and all that these follow from."""
    todo, found = list(files), dict[int, Manifest]()
    while todo:
        path, sha = todo.pop()
        manifest = maker.get(path)
        if manifest is None:
            continue
        if manifest.outputs[path] != sha:
            raise LineageError(f"{path}: {manifest.job} made it again after it was used; run `snakemake` first")
        if id(manifest) not in found:
            found[id(manifest)] = manifest
            todo += manifest.inputs.items()
    return list(found.values())


def _relation(manifest: Manifest, own: set[tuple[str, str]], learned: bool) -> str:
    if "shard" not in manifest.wildcards:
        return SHARED
    if own == {("shard", manifest.wildcards["shard"]), ("results", manifest.results)}:
        return OWN
    return LEARNED if learned else SAME_RUN


def learned_splits(results: str, manifests: Iterable[Manifest]) -> pd.DataFrame | None:
    """The splits of the run in a folder, None where its job or file is no longer there, or the file has changed."""
    path = str(Path(results, "cohort", "splits.tsv"))
    written = [manifest.outputs[path] for manifest in manifests if path in manifest.outputs]
    if not os.path.isfile(path) or written != [sha256_of(path)]:
        return None
    return pd.read_csv(path, sep="\t", dtype=str)


def scans_of(manifests: Iterable[Manifest], splits: pd.DataFrame | None) -> Scans:
    """The scans of a run. splits: its `cohort/splits.tsv` where it trained the models, None where it did not."""
    rows = [row for manifest in manifests for row in manifest.params.get("rows", [])]
    if splits is None:
        return Scans(paths_by_scan(rows), set())
    patients = set(splits.loc[splits["split"].isin(LEARNING_SPLITS), "patient_id"].astype(str))
    return Scans(paths_by_scan(rows), {row["scan_id"] for row in rows if row["patient_id"] in patients})


def files_of(step: Step, scan_id: str, scans: Scans) -> Iterator[tuple[str, str, str, str]]:
    """Files of a job: relation, `read` or `written`, path, sha256."""
    here = step.relation in (OWN, SHARED)
    for kind, files in (("read", step.manifest.inputs), ("written", step.manifest.outputs)):
        for path, sha in files.items():
            whose = _scan_of(path, scans.places)
            if whose is None:
                yield step.relation, kind, path, sha
            elif whose == scan_id and here:
                yield OWN, kind, path, sha
            else:
                yield LEARNED if whose in scans.learned else SAME_RUN, kind, path, sha


def folded(files: Iterable[tuple[str, str, str, str]]) -> Iterator[tuple[str, str, str, str]]:
    """The same, but files of other scans as one row per folder, where it has more than a few.

    Its name is `folder/ (N files)`, its value the sha256 of the lines `path, zero byte, sha256` in the order of paths.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for relation, kind, path, sha in files:
        groups[relation, kind, "" if relation in (OWN, SHARED) else os.path.dirname(path)].append((path, sha))
    for (relation, kind, folder), members in groups.items():
        if relation in (OWN, SHARED) or len(members) <= ALONE:
            yield from ((relation, kind, path, sha) for path, sha in members)
        else:
            lines = "".join(f"{path}\0{sha}\n" for path, sha in sorted(members))
            digest = hashlib.sha256(lines.encode()).hexdigest()
            yield relation, kind, f"{folder}/ ({len(members)} files)", digest


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


def lineage_table(steps: list[Step], scan_id: str, scans: dict[str, Scans]) -> pd.DataFrame:
    """Everything, one row per fact. scans: by the results folder of each run.

    kind: read, written, setting, code, package, run (where, when, how long); manifest of jobs on other shards; scan
    that the models learned from.
    """
    rows = [
        (LEARNED, results, "", "", "scan", scan, "")
        for results, of_run in scans.items()
        for scan in sorted(of_run.learned)
    ]
    for step in steps:
        manifest = step.manifest
        start = (manifest.results, manifest.rule, _wildcards(manifest))
        files = folded(files_of(step, scan_id, scans[manifest.results]))
        rows += [(relation, *start, kind, path, sha) for relation, kind, path, sha in files]
        for kind, values in _facts(step, scan_id).items():
            rows += [(step.relation, *start, kind, name, str(value)) for name, value in values.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _wildcards(manifest: Manifest) -> str:
    return " ".join(f"{name}={value}" for name, value in manifest.wildcards.items())


def _facts(step: Step, scan_id: str) -> dict[str, dict[str, Any]]:
    manifest = step.manifest
    if step.relation not in (OWN, SHARED):
        return {"manifest": {str(manifest_path(manifest.results, manifest.rule, manifest.wildcards)): manifest.digest}}
    return {
        "setting": _settings(manifest, scan_id),
        "code": manifest.code,
        "package": manifest.versions,
        "run": _run(manifest),
    }


def _settings(manifest: Manifest, scan_id: str) -> dict[str, Any]:
    """Params without packages; of rows of the sheet only the scan's own."""
    params = {name: value for name, value in manifest.params.items() if name != "packages"}
    for name, value in params.items():
        if are_rows(value):
            params[name] = [row for row in value if row["scan_id"] == scan_id]
    return flat(params)


def _run(manifest: Manifest) -> dict[str, Any]:
    return {"host": manifest.host, "started": manifest.started, "finished": manifest.finished, **manifest.resources}


def lineage_page(
    rows: pd.DataFrame, steps: list[Step], table: pd.DataFrame, level: str, model: str, heights: str = ""
) -> str:
    """The page as HTML: the grades, what is doubtful, what models learned from, then each job with its files.

    model: results folder of the run that trained the models, "" for this run itself. heights: where the heights that
    its measurement expects of intact vertebrae come from, "" where no method measured it.
    """
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    template = environment.get_template("lineage.html.j2")
    confidence = float(doubt_of(rows)["label_confidence"].iloc[0])
    name = level_text(LABEL_OF[level], confidence)
    return template.render(
        vertebra=f"{rows['scan_id'].iloc[0]}{',' if is_uncertain(confidence) else ''} {name}",
        label_confidence=None if math.isnan(confidence) else confidence,
        grades=rows.to_dict("records"),
        flags=[(flag, (FLAGS | VERTEBRA_FLAGS)[flag]) for flag in sorted(set(rows["flags"].str.split().sum()))],
        steps=[_shown(step, table) for step in steps if step.relation in (OWN, SHARED)],
        model=model,
        heights=heights,
        learned=table.loc[table["kind"] == "scan", "name"].tolist(),
        sources=own_sources(steps, table),
    )


def own_sources(steps: list[Step], table: pd.DataFrame) -> list[tuple[str, str]]:
    """Path and sha256 of the scan's files that no job of the run made: what the grade begins with."""
    made = {path for step in steps for path in step.manifest.outputs}
    read = table[(table["relation"] == OWN) & (table["kind"] == "read") & ~table["name"].isin(made)]
    return sorted(set(zip(read["name"], read["value"], strict=True)))


def _shown(step: Step, table: pd.DataFrame) -> dict[str, Any]:
    manifest = step.manifest
    where = {"results": manifest.results, "rule": manifest.rule, "wildcards": _wildcards(manifest)}
    facts = table[(table[list(where)] == pd.Series(where)).all(axis=1)]
    of_others = facts["relation"].isin([LEARNED, SAME_RUN])
    lists = {
        str(kind): list(zip(group["name"], group["value"], strict=True))
        for kind, group in facts[~of_others].groupby("kind")
    }
    return lists | {"manifest": manifest, "others": int(of_others.sum())}
