# What the rules share: checked settings, the scans and their shards, and the few functions that rules call.
# Runs at every parse, so nothing here may import numpy, pandas or torch.

import atexit
import gc
import hashlib
import json
import os
import sys
from functools import cache
from pathlib import Path

from snakemake.logging import logger

# What Snakemake has imported stays to the end, and so does its graph of jobs at the end: without looks for garbage
# among them, a dry run takes a fifth less CPU time, and so does the start of each job on a cluster.
gc.freeze()
atexit.register(gc.freeze)

# Not workflow.basedir: that is another workflow's folder where it uses this one as a module or includes it.
CLONE = os.path.dirname(str(workflow.current_basedir))
sys.path.insert(0, f"{CLONE}/workflow_scripts")

from vertegrade.workflow.code_hash import packages_of, planned_code_of, run_this_clone
from vertegrade.cohort.hashed_split import hashed_split
from vertegrade.cohort.months import follow_up_pairs
from vertegrade.cohort.sheet import PATTERN, ScanRow, has_splits, shard_of, splits_of
from vertegrade.frozen import CANAL, CARD, SIGHT, canal_folder, is_frozen, sight_folder
from vertegrade.methods import BASELINES, INTACT_HEIGHTS, MAIN
from vertegrade.methods import METHODS as ALL_METHODS
from vertegrade.model_files import NETWORKS
from vertegrade.preflight.start import (
    StartError,
    methods_of,
    misfits,
    model_notes,
    no_labels,
    opening_words,
    points_from,
    start,
)
from vertegrade.workflow.locks import remove_own_locks_only
from vertegrade.workflow.reruns import decide_by_content
from vertegrade.settings.base import rerun_values

run_this_clone()

remove_own_locks_only()

try:
    START = start(
        config,
        workflow.configfiles,
        workflow.config_settings.config,
        Path(CLONE),
    )
except StartError as error:
    sys.exit(f"Vertegrade cannot start: {error}")
if workflow.modifier.modify_rulename("all") != "all":
    sys.exit(
        "Vertegrade cannot start: its rules cannot be renamed, since manifests go by their names; write `use rule * from "
        "vertegrade` without `as`, and a Snakefile for each run"
    )

SETTINGS, SCANS, OVERRIDES = START.settings, START.scans, START.overrides
MARKS = {scan: said.mark for scan, said in START.marks.items() if said.mark}
config.update(SETTINGS.model_dump())  # scripts and audit see a given model's own too
FOLLOWED = follow_up_pairs(SCANS)
PHANTOM = not SETTINGS.cohort.sheet
MODEL = SETTINGS.run.model or SETTINGS.run.results
METHODS = methods_of(SETTINGS, SCANS)
COMPARED = [name for name in METHODS if ALL_METHODS[name].baseline in METHODS]
SCORED_METHODS = [name for name in ALL_METHODS if ALL_METHODS[name].scores]
LATENT_METHODS = [name for name in ALL_METHODS if ALL_METHODS[name].latents]
MODEL_NOTES = model_notes(SETTINGS)
# Whether vertebrae unlike those of the training get no grade. By default not within the cohort that trained the model.
WITHHOLD = SETTINGS.grading.novel == "withhold" or (
    SETTINGS.grading.novel == "auto" and bool(SETTINGS.run.model)
)
POINTS_FROM = points_from(SETTINGS)
# Relative, so that moving a clone with its results re-runs nothing.
SHIPPED_WEIGHTS = os.path.relpath(f"{CLONE}/models/localizer")
SIGHT_WEIGHTS = f"{sight_folder(SETTINGS.run.model, SHIPPED_WEIGHTS)}/{SIGHT}"
SEED = SETTINGS.run.seed
TAUGHT_VIRTUALLY = SETTINGS.cohort.virtual_labels and not SETTINGS.run.model
GPU = 0 if SETTINGS.run.device == "cpu" else 1
WINDOW = ("report.window_centre_hu", "report.window_width_hu")
SETTINGS_SHA256 = hashlib.sha256(
    json.dumps(rerun_values(SETTINGS), sort_keys=True).encode()
).hexdigest()
ROWS = {}
for row in SCANS:
    ROWS.setdefault(shard_of(row.scan_id, SETTINGS.cohort.shards), []).append(row)
SHARDS = sorted(ROWS)


def code_of(script):
    """Hash of the code behind a script, for a rule's params; jobs refuse other code than the run was started with."""
    return planned_code_of(script, workflow.remote_exec)


def settings_of(*sections):
    """Plain values of the named sections and keys (dotted), for a rule's params: a rule re-runs when these change."""
    everything = rerun_values(SETTINGS)
    chosen = {}
    for name in sections:
        value = everything
        for key in name.split("."):
            value = value[key]
        chosen[name] = value
    return chosen


def this_workflow(wildcards):
    """What a job needs to read the workflow itself: Snakefile, config files, and what re-runs jobs in this run."""
    return {
        "snakefile": str(workflow.main_snakefile),
        "files": [os.path.abspath(file) for file in workflow.configfiles],
        "triggers": sorted(str(trigger) for trigger in workflow.rerun_triggers),
    }


def rows_of(*read):
    """Sample-sheet rows of a shard for a rule that reads these columns, as plain values."""

    def rows(wildcards):
        return [row.plain(read) for row in ROWS[wildcards.shard]]

    return rows


def given_splits():
    """Splits that sample sheet and label tables in text give, by patient; they have priority over the hash.

    So a correction of grades in such a table does not change the splits. Splits that the hash gives anyway are left
    out, so that writing them down re-runs nothing. They stay where a table that `split` reads must agree with them.
    A given model's patients are all test.
    """
    if SETTINGS.run.model:
        return {row.patient_id: row.split or "test" for row in SCANS}
    patients = {row.patient_id for row in SCANS}
    given = {row.patient_id: row.split for row in SCANS if row.split}
    for path in set(label_files()) - set(official_split_files()):
        given |= {p: split for p, split in splits_of(path).items() if p in patients}
    if official_split_files():
        return dict(sorted(given.items()))
    return {
        patient: split
        for patient, split in sorted(given.items())
        if split != hashed_split(patient, SETTINGS.cohort.splits)
    }


@cache
def official_split_files():
    """Label tables whose own splits are read by `split`.

    These are VerSe's sheet, and tables that contradict themselves, another one or the sample sheet, which `split` says.
    """
    tables = [path for path in label_files() if has_splits(path)]
    if SETTINGS.run.model:
        return tables
    given = {}
    for row in SCANS:
        if row.split:
            given.setdefault(row.patient_id, set()).add(row.split)
    for path in tables:
        for patient, split in (splits_of(path) or {}).items():
            given.setdefault(patient, set()).add(split)
    unsure = {patient for patient, splits in given.items() if len(splits) > 1}

    def agrees(splits):
        return splits is not None and unsure.isdisjoint(splits)

    return [path for path in tables if not agrees(splits_of(path))]


def named_files(wildcards, columns):
    """Files and folders named by columns of a shard's rows that exist; a missing one fails its scan, not the shard."""
    named = {
        getattr(row, column) for row in ROWS[wildcards.shard] for column in columns
    }
    return sorted(path for path in named if path and os.path.exists(path))


def scan_files(wildcards):
    """The scans of a shard."""
    if PHANTOM:
        return [f"{SETTINGS.run.results}/phantom/{wildcards.shard}/dicom"]
    return [
        path for path in named_files(wildcards, ["path"]) if not PATTERN.search(path)
    ]


def unlisted(*columns):
    """Files and folders of a shard that cannot be inputs, as their names are patterns to Snakemake."""

    def paths(wildcards):
        named = named_files(wildcards, columns)
        return [path for path in named if PATTERN.search(path)]

    return paths


def model_files(wildcards):
    """The run's own files that other scans are graded by, of every method but baselines."""
    if SETTINGS.run.model:
        sys.exit(
            f"Vertegrade cannot start: this run is graded by the model {SETTINGS.run.model} and has none of its own to "
            "freeze; run `snakemake freeze` with the config of the run that trained the model"
        )
    names = [name for name in METHODS if name not in BASELINES]
    files = [file for name in names for file in ALL_METHODS[name].model_files]
    return [f"<results>/{file}" for file in [INTACT_HEIGHTS, *files]]


def model_card():
    """The card of a given model, where it has one."""
    card = f"{SETTINGS.run.model}/{CARD}"
    return card if SETTINGS.run.model and is_frozen(SETTINGS.run.model) else []


def applied_files():
    """What the cohort's page tells of other scans that its model graded: results in folders of `<results>-applied`.

    Without a manifest or a table a run is not finished, and is left out.
    """
    found = []
    for folder in sorted(Path(f"{SETTINGS.run.results}-applied").glob("*/")):
        needed = [folder / "grades.csv", folder / f"manifest/grade/{MAIN}.json"]
        if all(path.is_file() for path in needed):
            challenge = folder / "virtual/challenge.json"
            found += [*needed, *([challenge] if challenge.is_file() else [])]
    return [str(path) for path in found]


def follow_up_tables():
    """What changed between scans of one patient, where any patient has several with months."""
    names = ["vertebrae", "scans"] if FOLLOWED else []
    return [f"<results>/follow_up/{name}.parquet" for name in names]


def marks_table():
    """The table of marks of quality control, where there is one."""
    return [SETTINGS.cohort.qc] if SETTINGS.cohort.qc else []


def growing(value):
    """A resource for `resources:`: `value` at first, two and three times that when a failed job is submitted again."""

    def asked(wildcards, attempt):
        return attempt * value

    return asked


def label_files(wildcards=None):
    """Where the grades come from: the phantoms' truth, the cohort's label table, or the scans' own tables."""
    if PHANTOM and not SETTINGS.cohort.label_table:
        return expand("<results>/phantom/{shard}/truth.parquet", shard=SHARDS)
    tables = {row.labels for row in SCANS} | {SETTINGS.cohort.label_table}
    return sorted(tables - {""})


def label_tables(wildcards):
    """`label_files` where labels are read; without any there is nothing to learn grades from."""
    for problem in no_labels(SETTINGS, SCANS):
        sys.exit(f"Vertegrade cannot start: {problem}")
    return label_files()


def labels_table():
    """The table of all labels, where there are any."""
    return "<results>/cohort/labels.parquet" if label_files() else []


def index_report():
    """What `make index` found when it wrote the sample sheet, where it did."""
    path = f"{os.path.splitext(SETTINGS.cohort.sheet)[0]}.index.json"
    return [path] if not PHANTOM and os.path.exists(path) else []


def latents_of(wildcards):
    """Latent tables of a method."""
    return expand(f"<results>/{ALL_METHODS[wildcards.method].latents}", shard=SHARDS)


def scores_of(wildcards):
    """Tables of a method's own grade probabilities."""
    return expand(f"<results>/{ALL_METHODS[wildcards.method].scores}", shard=SHARDS)


def challenge_notes():
    """What readers of the challenge's page must know of this run."""
    return {
        "phantom": PHANTOM,
        "given": SETTINGS.localize.method == "provided",
        "taught": bool(SETTINGS.cohort.virtual_labels),
    }


def baseline_of(wildcards):
    """Name of the method that another one is compared with."""
    return ALL_METHODS[wildcards.method].baseline


def baseline_predictions(wildcards):
    """Grades of that method."""
    return f"<results>/predictions/{baseline_of(wildcards)}.parquet"


def export_folders(wildcards=None):
    """What `export.write` asks for; an error where it asks for nothing."""
    if not SETTINGS.export.write:
        sys.exit(
            "Vertegrade cannot start: export.write names nothing to write; say what, such as --config "
            "'export={write: [seg, sr]}', or in the config (docs/how-to/export.md)"
        )
    return expand("<results>-export/{shard}", shard=SHARDS)


def strip_files(wildcards):
    """Drawn vertebrae, for pictures that are exported; without labels or a given model a run draws none."""
    if "capture" not in SETTINGS.export.write or not (
        SETTINGS.run.model or label_files()
    ):
        return []
    return [
        f"<results>/counterfactual/{name}" for name in ("images.npy", "strips.parquet")
    ]


def targets():
    """What `snakemake` without a target makes: the results, and the file that says how the run ended."""
    exported = ["<results>-export/outcome.txt"] if SETTINGS.export.write else []
    if "seq2seq" in METHODS and label_files():
        exported = ["<results>/evaluation/seq2seq/patients.json", *exported]
    return [*results_wanted(), *exported, "<results>/report/outcome.txt"]


def results_wanted():
    """The results that a run is for: without labels, grades and pages of patients are all that can be had."""
    grades, flow = "<results>/grades.csv", "<results>/report/flow.svg"
    pages = ["<results>/patients", "<results>/report/index.html"]
    pages += ["<results>/report/pdf"] if SETTINGS.report.pdf else []
    pages += ["<results>/follow_up.csv"] if FOLLOWED else []
    if not label_files():
        return [grades, flow, *pages]
    if SETTINGS.run.model:
        metrics = expand("<results>/evaluation/{method}/metrics.json", method=METHODS)
        return [grades, flow, *pages, *metrics]
    return [grades, "<results>/summary.json", "<results>/report/cohort.html", *pages]


def closing_words(well):
    """Report the state of the cohort at the end of a run: as `outcome` has it, or from what was made so far."""
    if not any(job.rule.name == "outcome" for job in workflow.dag.jobs):
        return
    results = SETTINGS.run.results
    outcome = Path(results, "report/outcome.txt")
    if well and outcome.is_file():  # --until may end well before it
        lines = outcome.read_text().splitlines()
    else:
        from vertegrade.report.outcome import outcome_lines

        try:
            lines = outcome_lines(results, SHARDS, {row.scan_id for row in SCANS})
        except (OSError, ValueError) as error:
            text = " ".join(str(error).split())
            lines = [f"the state of the run is unknown, as a table is damaged: {text}"]
    pages = ("report/index.html", "report/cohort.html", "report/flow.svg", "grades.csv")
    made = [page for name in pages if os.path.isfile(page := f"{results}/{name}")]
    if SETTINGS.export.write and os.path.isdir(f"{results}-export"):
        made.append(f"{results}-export")
    for line in [*lines, *([f"look at {', '.join(made)}"] if made else [])]:
        logger.info(f"Vertegrade: {line}")


if workflow.is_main_process:
    if problems := misfits(SETTINGS, SCANS):
        sys.exit("Vertegrade cannot start: " + "\n".join(problems))
    for line in [opening_words(SETTINGS, SCANS), *MODEL_NOTES]:
        logger.info(f"Vertegrade: {line}")
