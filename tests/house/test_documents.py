"""What `make config` writes says what the code says: config.yaml, its schema and reference, the tables of reasons."""

import difflib
from pathlib import Path

import pytest
import yaml

from vertegrade.settings import Settings
from vertegrade.settings.documents import documents, with_tables
from vertegrade.settings.loading import check_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("name", "text"), documents().items())
def test_generated_file_is_current(name: str, text: str) -> None:
    found = (ROOT / name).read_text(encoding="utf-8")
    diff = "".join(difflib.unified_diff(found.splitlines(True), text.splitlines(True), name, "from the settings"))
    assert not diff, f"run `make config`:\n{diff}"


def test_a_table_of_a_page_is_replaced_and_nothing_else() -> None:
    page = "before\n\n| a | b |\n|---|---|\n| old | 1 |\n\nafter\n\n| a | c |\n| stays | 1 |\n"
    changed = with_tables(page, ["| a | b |\n|---|---|\n| new | \\1 |\n"])
    assert changed == page.replace("| old | 1 |", "| new | \\1 |")


def test_config_yaml_is_the_defaults() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert check_settings(config) == Settings()


def test_every_key_has_a_description() -> None:
    def walk(kind: type, prefix: str) -> list[str]:
        missing = []
        for name, field in kind.model_fields.items():  # type: ignore[attr-defined]
            if not field.description:
                missing.append(prefix + name)
            if hasattr(field.annotation, "model_fields"):
                missing += walk(field.annotation, f"{prefix}{name}.")
        return missing

    assert walk(Settings, "") == []
