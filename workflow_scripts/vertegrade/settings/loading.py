"""Checking a config: every problem at once, each with file, line, what was found, and the nearest valid key."""

import difflib
import re
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from vertegrade.settings import Settings
from vertegrade.settings.base import dotted

Location = tuple[str | int, ...]
NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
# 010 is 8, 1:30 is 90.
OTHER_BASE = re.compile(r"[-+]?(0[0-9_]+$|[0-9_]+:)")
# What was found, shortened: aliases can make a few lines of YAML into a billion values.
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 2, 200, 200


class SettingsError(ValueError):
    """The config cannot be used; the message lists every problem."""


def check_settings(config: dict[str, Any], files: Sequence[str] = ()) -> Settings:
    """Settings from a merged config, or SettingsError. `files` are the YAML files it came from, to name lines."""
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        lines = _lines(files)
        problems = [_problem(dict(case), lines) for case in error.errors()]
        raise SettingsError(f"{len(problems)} problem(s) in the config:\n" + "\n".join(problems)) from None


def _problem(case: dict[str, Any], lines: dict[Location, str]) -> str:
    location: Location = case["loc"]
    name = ".".join(map(str, location))
    where = next((lines[location[:n]] for n in range(len(location), 0, -1) if location[:n] in lines), "--config")
    if case["type"] == "extra_forbidden":
        return f"  {where}: unknown key `{name}`{_nearest(location)}"
    found = case["input"]
    hint = " (in YAML write 1.0e-4, not 1e-4)" if isinstance(found, str) and _is_number(found) else ""
    return f"  {where}: `{name}` is {SHORT.repr(found)}: {case['msg'].lower()}{hint}"


def _nearest(location: Location) -> str:
    """Suggestion: the closest key of the same block, else the closest key anywhere."""
    *block, key = map(str, location)
    everywhere = list(_keys(Settings))
    siblings = {path.rsplit(".", 1)[-1]: path for path in everywhere if path.rsplit(".", 1)[:-1] == [".".join(block)]}
    if not block:
        siblings = {path: path for path in everywhere if "." not in path}
    close = difflib.get_close_matches(key, siblings, n=1, cutoff=0.5)
    if close:
        return f"; did you mean `{siblings[close[0]]}`?"
    ends = {path.rsplit(".", 1)[-1]: path for path in everywhere}
    close = difflib.get_close_matches(key, ends, n=1, cutoff=0.5)
    return f"; did you mean `{ends[close[0]]}`?" if close else f"; valid keys here: {', '.join(sorted(siblings))}"


def _keys(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in kind.model_fields.items():
        yield prefix + name
        kinds = [field.annotation, *get_args(field.annotation)]
        for inner in kinds:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _keys(inner, f"{prefix}{name}.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(files: Sequence[str]) -> dict[Location, str]:
    """`file:line` of every key; a later file wins, as in Snakemake. Aliases count where they stand first."""
    found: dict[Location, str] = {}
    for file in files:
        node = yaml.compose(Path(file).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if node is not None:
            _walk(node, (), file, found, set())
    return found


def where_given(config: dict[str, Any], files: Sequence[str], more: dict[str, Any], defaults: Path) -> dict[str, str]:
    """Where a person gave each key that somebody gave, by dotted key: `file:line`, or --config.

    config: merged. files: the YAML files that it came from. more: what --config said. defaults: config.yaml as it comes
    with Vertegrade, in which only keys count whose value was changed.
    """
    own = [file for file in files if not (defaults.exists() and Path(file).exists() and defaults.samefile(file))]
    defaults_of = dotted(Settings().model_dump())
    changed = {key for key, value in dotted(config).items() if value != defaults_of.get(key, value)}
    given = dict.fromkeys(changed, str(defaults))
    given |= {".".join(map(str, location)): where for location, where in _lines(own).items()}
    return given | dict.fromkeys(dotted(more), "--config")


def _walk(node: yaml.Node, location: Location, file: str, found: dict[Location, str], seen: set[int]) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*location, index), file, found, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        here = (*location, key.value)
        found[here] = f"{file}:{key.start_mark.line + 1}"
        _walk(value, here, file, found, seen)


def check_yaml(files: Sequence[str]) -> None:
    """Refuse keys given twice (YAML keeps the last in silence) and numbers that YAML reads otherwise than people."""
    problems: list[str] = []
    for file in files:
        node = yaml.compose(Path(file).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        stack = [node] if node is not None else []
        walked: set[int] = set()
        while stack:
            current = stack.pop()
            if id(current) in walked:
                continue  # an alias, which may even name what it stands in
            walked.add(id(current))
            if isinstance(current, yaml.MappingNode):
                seen: dict[str, int] = {}
                for key, value in current.value:
                    if key.value in seen:
                        line = key.start_mark.line + 1
                        problems.append(f"  {file}:{line}: key `{key.value}` stands already on line {seen[key.value]}")
                    seen[key.value] = key.start_mark.line + 1
                    stack.append(value)
            elif isinstance(current, yaml.SequenceNode):
                stack.extend(current.value)
            elif current.tag in NUMBERS and OTHER_BASE.match(current.value):
                line = current.start_mark.line + 1
                problems.append(f"  {file}:{line}: `{current.value}` is base 8 or 60 to YAML; write it plainly")
    if problems:
        raise SettingsError("YAML that would be read otherwise than it looks:\n" + "\n".join(problems))
