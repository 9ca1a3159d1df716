"""Export of a run as a Workflow Run RO-Crate: the workflow, what went in, what came out, and each job as an action.

Follows RO-Crate 1.1 and the Workflow Run Crate profile 0.5 (Leo et al., PLoS ONE 2024). The results folder becomes the
crate. Inputs from outside it are named by their hash alone: paths of a hospital's scans may name patients.
"""

import json
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from vertegrade.workflow.code_hash import script_of
from vertegrade.workflow.manifest import Manifest

Entity = dict[str, Any]
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
WORKFLOW, SETTINGS = "workflow/Snakefile", "workflow/config.yaml"
LICENCE = "#licence"
MEDIA_TYPES = {
    ".dcm": "application/dicom",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
}


class CrateError(ValueError):
    """There is nothing to export, or jobs of a rule that the workflow no longer has."""


def crate(manifests: list[Manifest], results: str, workflow_files: Iterable[str], snakemake_version: str) -> Entity:
    """ro-crate-metadata.json of a run in the folder `results`, JSON-LD.

    workflow_files: files of the workflow's copy in the crate, below workflow/. CrateError where no job has run, or one
    by a script that is no longer there.
    """
    if not manifests:
        raise CrateError(f"{results}: no job has left a manifest, so there is nothing to export; run `snakemake` first")
    hashes = {path: sha for manifest in manifests for path, sha in (manifest.inputs | manifest.outputs).items()}
    made = {path for manifest in manifests for path in manifest.outputs}
    ids = {path: _id(path, sha, results) for path, sha in hashes.items()}
    files = {ids[path]: _file(ids[path], path, sha) for path, sha in hashes.items()}
    actions = [_job(manifest, ids) for manifest in manifests]
    used = sorted({ids[path] for manifest in manifests for path in manifest.inputs if path not in made})
    run = _run(manifests, [*used, SETTINGS], sorted(ids[path] for path in made))
    scripts = sorted({_script(manifest.rule) for manifest in manifests})
    copies = _copies(workflow_files, scripts)
    parts = [entity["@id"] for entity in (*files.values(), *copies) if "File" in entity["@type"]]
    graph = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": [{"@id": CONTEXT[0].removesuffix("/context")}, {"@id": list(PROFILES)[2]}],
            "about": {"@id": "./"},
        },
        _root([WORKFLOW, *parts], [run, *actions], run["endTime"]),
        *({"@id": uri, "@type": "CreativeWork", "name": name, "version": uri[-3:]} for uri, name in PROFILES.items()),
        *_workflow(snakemake_version, scripts),
        run,
        *actions,
        *files.values(),
        *copies,
    ]
    return {"@context": CONTEXT, "@graph": graph}


def _id(path: str, sha: str, results: str) -> str:
    """Path in the crate, or for a file outside it a name from its hash."""
    pure = PurePosixPath(path)
    if pure.is_relative_to(results):
        return quote(pure.relative_to(results).as_posix())
    return f"#sha256-{sha}"


def _file(identifier: str, path: str, sha: str) -> Entity:
    if identifier.startswith("#"):
        return {"@id": identifier, "@type": "CreativeWork", "name": "input from outside the crate", "sha256": sha}
    entity = {"@id": identifier, "@type": "File", "name": PurePosixPath(path).name, "sha256": sha}
    media = MEDIA_TYPES.get(PurePosixPath(path).suffix)
    return entity | ({"encodingFormat": media} if media else {})


def _script(rule: str) -> str:
    return f"workflow/workflow_scripts/{script_of(rule)}.py"


def _copies(workflow_files: Iterable[str], scripts: list[str]) -> list[Entity]:
    """Files of the workflow's copy but the Snakefile; the scripts that jobs ran are programs."""
    names = {f"workflow/{quote(name)}" for name in workflow_files} - {WORKFLOW}
    lost = sorted(set(scripts) - names)
    if lost:
        raise CrateError(f"the workflow no longer has {', '.join(lost)}, by which jobs ran: see `snakemake audit`")
    return [
        {
            "@id": name,
            "@type": ["File", "SoftwareSourceCode"] if name in scripts else "File",
            "name": name.removeprefix("workflow/"),
        }
        for name in sorted(names)
    ]


def _references(identifiers: Iterable[str]) -> list[Entity]:
    return [{"@id": identifier} for identifier in identifiers]


def _job(manifest: Manifest, ids: dict[str, str]) -> Entity:
    """A job as a CreateAction. Its settings are in the description as JSON, the rest in the manifest."""
    wildcards = (f"{name}={quote(value)}" for name, value in sorted(manifest.wildcards.items()))
    return {
        "@id": "/".join(["#job", manifest.rule, *wildcards]),
        "@type": "CreateAction",
        "name": manifest.job,
        "description": json.dumps(manifest.params.get("settings", {}), sort_keys=True),
        "instrument": {"@id": _script(manifest.rule)},
        "object": _references(sorted({ids[path] for path in manifest.inputs})),
        "result": _references(sorted({ids[path] for path in manifest.outputs})),
        "startTime": manifest.started,
        "endTime": manifest.finished,
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }


def _run(manifests: list[Manifest], used: list[str], made: list[str]) -> Entity:
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "Run of Vertegrade",
        "description": f"{len(manifests)} jobs with the settings in {SETTINGS}",
        "instrument": {"@id": WORKFLOW},
        "object": _references(used),
        "result": _references(made),
        "startTime": min(manifest.started for manifest in manifests),
        "endTime": max(manifest.finished for manifest in manifests),
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }


def _root(parts: list[str], actions: list[Entity], date: str) -> Entity:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": "Vertebral fracture grades by Vertegrade",
        "description": "Results of the Snakemake workflow Vertegrade. Research use only, not a medical device.",
        "datePublished": date,
        "license": {"@id": LICENCE},
        "conformsTo": _references(PROFILES),
        "hasPart": _references(parts),
        "mainEntity": {"@id": WORKFLOW},
        "mentions": _references(action["@id"] for action in actions),
    }


def _workflow(snakemake_version: str, scripts: list[str]) -> list[Entity]:
    language = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
    return [
        {
            "@id": WORKFLOW,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": "Vertegrade",
            "programmingLanguage": {"@id": language},
            "hasPart": _references(scripts),
            "license": "https://spdx.org/licenses/Apache-2.0",
        },
        {
            "@id": language,
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "url": "https://snakemake.github.io",
            "version": snakemake_version,
        },
        {
            "@id": LICENCE,
            "@type": "CreativeWork",
            "name": "Licence of the scans",
            "description": "Results may be used as the scans that they were made from; the workflow by Apache-2.0.",
        },
    ]
