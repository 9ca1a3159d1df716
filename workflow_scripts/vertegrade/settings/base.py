"""What every section of the settings shares: strict types, no unknown keys, a unit and a reason for each key."""

from collections.abc import Mapping
from functools import cache, reduce
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """One block of config.yaml. Frozen, strict (no "3" for 3, no True for 1), and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


T = TypeVar("T", bound=Section)


def plain_path(text: str) -> str:
    """A path without what changes nothing: a slash at its end, slashes twice, `./`. Empty stays empty."""
    return str(PurePosixPath(text)) if text else ""


PlainPath = Annotated[str, AfterValidator(plain_path)]


def setting(default: Any, description: str, unit: str = "", *, reruns: bool = True, **limits: Any) -> Any:
    """A key with its default, its meaning, its unit and its limits (pydantic's ge, gt, le, lt, min_length, ...).

    reruns: False for a key that changes no result, such as where a log goes; a new value then re-runs nothing.
    """
    extra: dict[str, Any] = {"unit": unit} if reruns else {"unit": unit, "reruns": False}
    return Field(default, description=description, json_schema_extra=extra, **limits)


def section(kind: type[Section], description: str) -> Any:
    """A nested block whose defaults are the defaults of its keys."""
    return Field(default_factory=kind, description=description)


@cache
def section_paths() -> dict[type[Section], str]:
    """Dotted path of each section class in config.yaml; each class is used in one place only."""
    from vertegrade.settings import Settings

    paths: dict[type[Section], str] = {}

    def walk(kind: type[Section], prefix: str) -> None:
        for name, field in kind.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, Section):
                if inner in paths:
                    raise TypeError(f"{inner.__name__} is used at {paths[inner]} and at {prefix}{name}")
                paths[inner] = prefix + name
                walk(inner, f"{prefix}{name}.")

    walk(Settings, "")
    return paths


def section_kind(field: FieldInfo) -> type[Section] | None:
    """The class of a nested block, None for a key."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def reruns(field: FieldInfo) -> bool:
    """Whether a new value of this key can change a result."""
    extra = field.json_schema_extra
    return not isinstance(extra, dict) or bool(extra.get("reruns", True))


def rerun_values(block: Section) -> dict[str, Any]:
    """Plain values of a block without the keys that re-run nothing."""
    values = {}
    for name, field in type(block).model_fields.items():
        value = getattr(block, name)
        if reruns(field):
            values[name] = rerun_values(value) if isinstance(value, Section) else value
    return values


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of nested blocks by dotted key."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= dotted(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested blocks of the values by dotted key; a value may be a block."""
    blocks: dict[str, Any] = {}
    for name, value in values.items():
        *path, key = name.split(".")
        reduce(lambda block, part: block.setdefault(part, {}), path, blocks)[key] = value
    return blocks


def narrowed(kind: type[T], given: dict[str, Any], config: dict[str, Any]) -> T:
    """A block with nothing but the keys that a rule's params give, and those that re-run nothing, from the config.

    Asking it for another key is an AttributeError: what a rule uses and does not declare would not re-run it.
    """
    values = {}
    for name, field in kind.model_fields.items():
        if not reruns(field):
            values[name] = config[name]
        elif name in given:
            inner = section_kind(field)
            values[name] = narrowed(inner, given[name], config[name]) if inner else given[name]
    block = kind.model_construct(**values)
    for name in kind.model_fields.keys() - values.keys():
        del block.__dict__[name]  # model_construct put the default there
    return block
