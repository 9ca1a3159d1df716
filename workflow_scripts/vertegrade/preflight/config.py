"""The config as Snakemake would merge it, and all its problems."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from vertegrade.preflight.start import settled
from vertegrade.settings import Settings
from vertegrade.settings.loading import SettingsError, check_settings, check_yaml

ROOT = Path(__file__).resolve().parents[3]


def read_settings(files: Sequence[str]) -> tuple[Settings, list[str]]:
    """Settings of the config files (a later one wins), with a given model's own where it has its own; and the problems.

    Where there are problems, the settings are the defaults with the cohort that the files name, so that sheet and
    labels can be checked all the same.
    """
    config: dict[str, Any] = {}
    problems: list[str] = []
    readable = []
    for file in files:
        try:
            update_config(config, load_configfile(file))
            readable.append(file)
        except (WorkflowError, OSError, ValueError, RecursionError) as error:
            problems.append(f"{file}: cannot be read as YAML ({type(error).__name__}: {error}); correct it")
    for check in (check_yaml, lambda found: check_settings(config, found)):
        try:
            check(readable)
        except SettingsError as error:
            problems += [f"config: {line.strip()}" for line in str(error).splitlines()[1:]]
    if not problems:
        return settled(check_settings(config, readable), config, readable, {}, ROOT)
    cohort = config.get("cohort")
    named = cohort if isinstance(cohort, dict) else {}
    named = {key: named[key] for key in ("sheet", "labels") if isinstance(named.get(key), str)}
    return check_settings({"cohort": named}), [*problems, "config: what follows was checked with defaults in its place"]
