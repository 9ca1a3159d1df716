"""Templates of pages: what they print is escaped, and a name that is not given is an error."""

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
