"""Templates of pages: what they print is escaped, and a name that is not given is an error."""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path

import jinja2

PHANTOM_FACT = "These patients are digital phantoms: their spines were drawn by a program, nobody was scanned."


def templates(*folders: Path) -> jinja2.Environment:
    """The templates in these folders, beside those that all pages share."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def content_policy(scripts: Iterable[str]) -> str:
    """The content security policy of a page that is whole: it loads nothing, and runs these scripts and no others."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{text}'" for text in hashes) or "'none'"
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"
