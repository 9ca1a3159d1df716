"""A reporting checklist as a table in Markdown: what the run knows of each item, and what its authors must fill in."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vertegrade.plotting import NOTICE

AUTHORS = "to be filled in by the authors"


class Item(NamedTuple):
    """An item of a checklist by its official number, named in our own words."""

    number: str
    part: str
    topic: str


class Answer(NamedTuple):
    """What the run knows of an item, and where it stands: a file below the results, or a section of a page."""

    text: str
    where: str


def checklist_markdown(
    title: str, source: str, items: Sequence[Item], answers: Mapping[str, Answer], phantom: bool
) -> str:
    """The checklist with its answers. source: the paper that it is of. KeyError for an answer to no item."""
    unknown = set(answers) - {item.number for item in items}
    if unknown:
        raise KeyError(f"answers to items that {title} does not have: {sorted(unknown)}")
    lines = [
        f"# {title}",
        "",
        f"{NOTICE}. Prefilled from the settings and counts of this run; items are named in our own words, so fill in "
        f"the official form of {source} Nothing here was judged by a person.",
        "",
        *(["The scans are digital phantoms: nobody was scanned, and nothing here is said of patients.", ""] * phantom),
        f"{len(answers)} of {len(items)} items have an answer of the run; the others are {AUTHORS}.",
        "",
        "| item | topic | of this run | where |",
        "|---|---|---|---|",
    ]
    part = ""
    for item in items:
        if item.part != part:
            part = item.part
            lines.append(f"| | **{part}** | | |")
        answer = answers.get(item.number, Answer(AUTHORS, ""))
        lines.append(f"| {item.number} | {item.topic} | {_cell(answer.text)} | {_cell(answer.where)} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
