"""The titles of docs/how-to/faq.md that quote a message quote one that the program prints."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAQ = (ROOT / "docs/how-to/faq.md").read_text(encoding="utf-8")
QUOTED = [span for title in re.findall(r"^### (.*)$", FAQ, re.M) for span in re.findall(r"`([^`]+)`", title)]
SNAKEMAKES = {"Directory cannot be locked"}
# What stands where a string goes on in the next line.
JOINT = re.compile(r'"\s*\n\s*f?"')


@pytest.fixture(scope="module")
def code() -> str:
    return JOINT.sub(
        "", "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "workflow_scripts").rglob("*.py"))
    )


def test_there_are_messages() -> None:
    assert len(QUOTED) > 10


@pytest.mark.parametrize("message", [message for message in QUOTED if message not in SNAKEMAKES])
def test_a_quoted_message_is_one_of_the_program(message: str, code: str) -> None:
    place = 0
    for part in (part.strip() for part in message.split("...")):
        place = code.find(part, place)
        assert place >= 0, part
