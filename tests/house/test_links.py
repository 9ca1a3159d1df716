"""Every link of README and docs leads to a file, and to a heading of it where it names one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), ROOT / "models/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)|\bsrc=\"([^\"]+)\"")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
NAMED = re.compile(r"\bdocs/[\w/.-]+\.(?:md|json|svg|png)\b")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    found = []
    for path, anchor, picture in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        target = page.parent / (path or picture) if path or picture else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(f"{path or picture}#{anchor}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Some words, here\n[a](gone.md) [b](#some-words-here) [c](#none) [d](page.md#some-words-here)\n")
    assert broken(page) == ["gone.md#", "#none"]


def test_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "docs/README.md").read_text("utf-8")
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in contents} == set()


def test_pages_that_code_names_are_there() -> None:
    files = [*ROOT.glob("*.yaml"), ROOT / "Makefile", ROOT / "Snakefile"]
    for folder in ("workflow_scripts", "rules", "tests", "benchmarks", "presets", "profiles", "slurm", "report"):
        files += [file for file in (ROOT / folder).rglob("*") if file.suffix in {".py", ".smk", ".yaml", ".j2", ".rst"}]
    named = {name: file.name for file in files for name in NAMED.findall(file.read_text("utf-8"))}
    assert {name: file for name, file in named.items() if not (ROOT / name).exists()} == {}


def test_modules_and_files_that_pages_name_are_there() -> None:
    below = (ROOT, ROOT / "workflow_scripts/vertegrade")
    named = {
        (page.name, name)
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for name in re.findall(r"`([\w.-]+/[\w./-]+\.(?:py|smk|yaml|sh|csv))`", page.read_text("utf-8"))
        if "NAME" not in name and (page.name, Path(name).suffix) != ("tables.md", ".csv")  # a run writes these
    }
    assert {both for both in named if not any((folder / both[1]).exists() for folder in below)} == set()
