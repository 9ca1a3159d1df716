"""Snakefiles and config files that a test process reads again and again: parsed once."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest


def parse_once(patch: pytest.MonkeyPatch) -> None:
    """Remember what Snakemake makes of each Snakefile and config file; nobody may edit one while the patch lasts.

    Of what opening a workflow costs, most is this: the same text is taken to pieces for every test.
    """
    from snakemake import workflow
    from snakemake.common import configfile

    patch.setattr(workflow, "parse", _remembering_snakefiles(workflow.parse))
    patch.setattr(configfile, "_load_configfile", _remembering_configs(configfile._load_configfile))


def _remembering_snakefiles(parse: Callable[..., tuple[str, int]]) -> Callable[..., tuple[str, int]]:
    found: dict[tuple[str, int], tuple[str, int, dict[int, int]]] = {}

    def remembering(path: Any, workflow: Any, linemap: dict[int, int], rulecount: int = 0) -> tuple[str, int]:
        key = path.get_path_or_uri(secret_free=True), rulecount
        if key not in found:
            found[key] = *parse(path, workflow, linemap, rulecount=rulecount), dict(linemap)
        code, count, lines = found[key]
        linemap.update(lines)
        return code, count

    return remembering


def _remembering_configs(load: Callable[..., Any]) -> Callable[..., Any]:
    found: dict[str, Any] = {}

    def remembering(path: Any, filetype: str = "Config") -> Any:
        if str(path) not in found:
            found[str(path)] = load(path, filetype)
        return deepcopy(found[str(path)])

    return remembering
