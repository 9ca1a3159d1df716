"""Checking a config: every problem at once, each with file, line, what was found, and the nearest valid key."""

import difflib
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from vertegrade.settings import Settings
from vertegrade.settings.base import dotted, section_kind

Location = tuple[str | int, ...]
# The one written in C where it is there: with the other, reading config.yaml took a quarter of a start.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
# 010 is 8, 1:30 is 90.
OTHER_BASE = re.compile(r"[-+]?(0[0-9_]+$|[0-9_]+:)")
# What was found, shortened: aliases can make a few lines of YAML into a billion values.
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 2, 200, 200


class SettingsError(ValueError):
    """The config cannot be used; the message lists every problem."""


def check_settings(
    config: dict[str, Any], files: Sequence[str] = (), command_line: Mapping[str, Any] | None = None
) -> Settings:
    """Settings from a merged config, or SettingsError.

    files: the YAML files it came from, to name lines. command_line: what Snakemake's --config gave, which is in
    `config` already; Snakemake leaves the values below the first level as texts, which become here (in `config` too)
    what YAML makes of them where the key is no text.
    """
    _read_texts(config, command_line or {}, Settings)
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        lines = _lines(files) | dict.fromkeys(_locations(command_line or {}), "--config")
        problems = [_problem(dict(case), lines) for case in error.errors()]
        raise SettingsError(f"{len(problems)} problem(s) in the config:\n" + "\n".join(problems)) from None


def _read_texts(config: dict[str, Any], given: Mapping[str, Any], kind: type[BaseModel]) -> None:
    """Give the texts of `given` in `config` the types that YAML has for them."""
    for name, value in given.items():
        field = kind.model_fields.get(name)
        inner = section_kind(field) if field else None
        if inner and isinstance(value, Mapping) and isinstance(config.get(name), dict):
            _read_texts(config[name], value, inner)
        elif field and not inner and not _takes_text(field) and config.get(name) == value:
            config[name] = [_read_text(item) for item in value] if isinstance(value, list) else _read_text(value)


def _takes_text(field: FieldInfo) -> bool:
    kind = field.annotation
    return kind is str or (get_origin(kind) is Literal and all(isinstance(choice, str) for choice in get_args(kind)))


def _read_text(value: Any) -> Any:
    """The value of a text in YAML. Not changed: other values, and numbers that YAML reads differently from people."""
    if not isinstance(value, str) or OTHER_BASE.match(value):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _locations(given: Mapping[str, Any], above: Location = ()) -> Iterator[Location]:
    for name, value in given.items():
        yield (*above, name)
        if isinstance(value, Mapping):
            yield from _locations(value, (*above, name))


def _problem(case: dict[str, Any], lines: dict[Location, str]) -> str:
    location: Location = case["loc"]
    name = ".".join(map(str, location))
    where = next((lines[location[:n]] for n in range(len(location), 0, -1) if location[:n] in lines), "--config")
    if case["type"] == "extra_forbidden":
        return f"  {where}: unknown key `{name}`{_nearest(location)}{_nested(where, location)}"
    found = case["input"]
    hint = ""
    if isinstance(found, str) and OTHER_BASE.match(found):
        hint = " (base 8 or 60 to YAML; write it plainly)"
    elif isinstance(found, str) and _is_number(found):
        hint = " (in YAML write 1.0e-4, not 1e-4)"
    return f"  {where}: `{name}` is {SHORT.repr(found)}: {case['msg'].lower()}{hint}"


def _nested(where: str, location: Location) -> str:
    """How a key is written on the command line, where it is given without its block."""
    return "; on the command line write a block, such as --config 'run={seed: 3}'" * (
        where == "--config" and len(location) == 1
    )


def _nearest(location: Location) -> str:
    """Suggestion: the closest key of the same block, else the closest key wherever it stands."""
    *block, key = map(str, location)
    everywhere = list(_keys(Settings))
    siblings = {path.rsplit(".", 1)[-1]: path for path in everywhere if path.rsplit(".", 1)[:-1] == [".".join(block)]}
    if not block:
        siblings = {path: path for path in everywhere if "." not in path}
    close = difflib.get_close_matches(key, siblings, n=1, cutoff=0.5)
    if close:
        return f"; did you mean `{siblings[close[0]]}`?"
    ends = [path.rsplit(".", 1)[-1] for path in everywhere]
    if close := difflib.get_close_matches(key, ends, n=1, cutoff=0.5):
        alike = [f"`{path}`" for path, end in zip(everywhere, ends, strict=True) if end == close[0]]
        return f"; did you mean {' or '.join(alike)}?"
    return f"; valid keys here: {', '.join(sorted(siblings))}"


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
    """`file:line` of every key; a later file overrides, as in Snakemake. Aliases count at their first place."""
    found: dict[Location, str] = {}
    for file in files:
        node = yaml.compose(Path(file).read_text(encoding="utf-8"), Loader=_LOADER)
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
        node = yaml.compose(Path(file).read_text(encoding="utf-8"), Loader=_LOADER)
        stack = [node] if node is not None else []
        walked: set[int] = set()
        while stack:
            current = stack.pop()
            if id(current) in walked:
                continue  # an alias, which may even name the block that contains it
            walked.add(id(current))
            if isinstance(current, yaml.MappingNode):
                seen: dict[str, int] = {}
                for key, value in current.value:
                    if key.value in seen:
                        line = key.start_mark.line + 1
                        problems.append(f"  {file}:{line}: key `{key.value}` is already on line {seen[key.value]}")
                    seen[key.value] = key.start_mark.line + 1
                    stack.append(value)
            elif isinstance(current, yaml.SequenceNode):
                stack.extend(current.value)
            elif current.tag in NUMBERS and OTHER_BASE.match(current.value):
                line = current.start_mark.line + 1
                problems.append(f"  {file}:{line}: `{current.value}` is base 8 or 60 to YAML; write it plainly")
    if problems:
        raise SettingsError("YAML that would be read otherwise than it looks:\n" + "\n".join(problems))
