"""Pages and code are in plain words, and pages short in their paragraphs."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), ROOT / "models/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SUFFIXES = {".py", ".smk", ".yaml", ".sh", ".j2", ".rst"}
ROOMS = ("workflow_scripts", "rules", "benchmarks", "slurm", "profiles", "presets", "report")
CODE = [
    *(ROOT / name for name in ("Snakefile", "Makefile", "config.yaml")),
    *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*")) if path.suffix in SUFFIXES),
]
BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
# Documents that a reader does not have, and words of no plain English.
NOT_HERE = re.compile(
    r"(?<!report/)\bmethods\.md|field test|\bissue \d|design \d\.\d|\b(?:anew|wholly)\b", re.IGNORECASE
)
# "6 jobs a shard" for "6 jobs per shard".
RATE = re.compile(
    r"\b(?:\d+|once|one \w+|jobs?|files?|rows?|bytes|steps|seconds|minutes) a (?:shard|scan|job|slice|row|step)\b"
)
WIDTH, LINES = 120, 5


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs and list items without code blocks, tables, headings and pictures."""
    for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*] |\d+\. |\||#|!\[))", BLOCK.sub("\n\n", text)):
        if part.strip() and part.strip()[0] not in "|#!*":
            yield " ".join(part.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_paragraph_is_long(page: Path) -> None:
    long = [text for text in paragraphs(page.read_text("utf-8")) if len(textwrap.wrap(text, WIDTH)) > LINES]
    assert long == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_words_are_plain_and_documents_are_here(page: Path) -> None:
    text = BLOCK.sub("", page.read_text("utf-8"))
    assert [*NOT_HERE.findall(text), *RATE.findall(text)] == []


def test_words_of_the_code_are_plain_and_documents_are_here() -> None:
    texts = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in CODE}
    found = {name: [*NOT_HERE.findall(text), *RATE.findall(text)] for name, text in texts.items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_what_is_not_plain_is_noticed() -> None:
    assert NOT_HERE.findall("see methods.md; trained anew") == ["methods.md", "anew"]
    assert RATE.findall("six jobs a shard, one job a shard") == ["jobs a shard", "one job a shard"]
