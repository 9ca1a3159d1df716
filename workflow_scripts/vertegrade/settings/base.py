"""What every section of the settings shares: strict types, no unknown keys, a unit and a reason for each key."""

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """One block of config.yaml. Frozen, strict (no "3" for 3, no True for 1), and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def setting(default: Any, description: str, unit: str = "", **limits: Any) -> Any:
    """A key with its default, its meaning, its unit and its limits (pydantic's ge, gt, le, lt, min_length, ...)."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **limits)


def section(kind: type[Section], description: str) -> Any:
    """A nested block whose defaults are the defaults of its keys."""
    return Field(default_factory=kind, description=description)


@cache
def section_paths() -> dict[type[Section], str]:
    """Dotted path of each section class in config.yaml; each class stands in one place only."""
    from vertegrade.settings import Settings

    paths: dict[type[Section], str] = {}

    def walk(kind: type[Section], prefix: str) -> None:
        for name, field in kind.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, Section):
                if inner in paths:
                    raise TypeError(f"{inner.__name__} stands at {paths[inner]} and at {prefix}{name}")
                paths[inner] = prefix + name
                walk(inner, f"{prefix}{name}.")

    walk(Settings, "")
    return paths
