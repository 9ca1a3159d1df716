"""The habits that CONTRIBUTING asks for are those that the project has."""

import re
from pathlib import Path

import yaml

from vertegrade.methods import METHODS
from vertegrade.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_hooks_equal_make_check() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    (target,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in target.splitlines()]
    assert [hook["entry"] for hook in hooks] == commands


def test_citation_names_papers_with_authors_and_year() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert citation["version"] == version[1]
    assert all(paper["title"] and paper["authors"] and paper["year"] for paper in citation["references"])


def test_own_keys_come_first_in_the_config() -> None:
    sections = list(Settings.model_fields)
    assert sections[:3] == ["run", "cohort", "ct"]
    assert sections[-2:] == ["phantom", "train_localizer"]


def test_every_method_has_its_page() -> None:
    of_its_own = {"bone_quality"}  # no Genant grades
    assert {page.stem for page in (ROOT / "docs/methods").glob("*.md")} == set(METHODS) | of_its_own


def test_no_mark_of_a_merge_is_left() -> None:
    """Two of them stood in a table of the docs for a day."""
    marks = re.compile(rb"^(<{7} |={7}$|>{7} )", re.MULTILINE)
    folders = ("docs", "rules", "workflow_scripts", "tests", "benchmarks", "presets", "slurm", "report", ".github")
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    text = {".md", ".py", ".smk", ".yaml", ".yml", ".toml", ".j2", ".css", ".js", ".rst", ".json", ".txt", ".sh", ""}
    assert [path for path in files if path.suffix in text and marks.search(path.read_bytes())] == []
