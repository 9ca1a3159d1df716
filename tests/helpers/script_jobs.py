"""Running a rule's script in this process, with the object that Snakemake would give it."""

import runpy
from pathlib import Path
from typing import Any

from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards

from helpers.runs import ROOT
from vertegrade.settings import Settings

Files = dict[str, Any]


class Job:
    """The object `snakemake` of a script."""

    def __init__(self, folder: Path, rule: str, inputs: Files, outputs: Files, params: Files, wildcards: Files) -> None:
        self.rule, self.threads, self.scriptdir, self.log = rule, 1, "", Log([str(folder / f"logs/{rule}.log")])
        self.input, self.output = named(InputFiles(), inputs), named(OutputFiles(), outputs)
        self.params = Params(fromdict={"settings": {}, "seed": 1, "code": "", "packages": {}} | params)
        self.wildcards, self.resources = Wildcards(fromdict=wildcards), ResourceList(fromdict={"gpu": 0})
        self.config = Settings.model_validate({"run": {"results": str(folder), "device": "cpu"}}).model_dump()


def named(items: Any, files: Files) -> Any:
    """Snakemake's list of files with the names of its parts ("": without a name), of which each is a file or a list."""
    for name, value in files.items():
        start = len(items)
        items.extend(value if isinstance(value, list) else [value])
        if name:
            items._set_name(name, start, end=len(items) if isinstance(value, list) else None)
    return items


def run_script(
    folder: Path,
    rule: str,
    inputs: Files,
    outputs: Files,
    params: Files | None = None,
    wildcards: Files | None = None,
    sections: list[str] | None = None,
) -> None:
    """Run `workflow_scripts/{rule}.py` with the defaults of the named sections and keys of the settings."""
    config = Settings().model_dump()
    chosen = {}
    for name in sections or []:
        value: Any = config
        for key in name.split("."):
            value = value[key]
        chosen[name] = value
    job = Job(folder, rule, inputs, outputs, {"settings": chosen} | (params or {}), wildcards or {})
    runpy.run_path(str(ROOT / f"workflow_scripts/{rule}.py"), {"snakemake": job})
