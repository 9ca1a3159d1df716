"""What the cohort's page needs to show the charts, from the folder that the rule `charts` writes."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vertegrade.files import read_json
from vertegrade.report.charts.names import INDEX, SCRIPT
from vertegrade.report.sorting.script import sort_script
from vertegrade.report.templates import content_policy


def charts_section(folder: Path) -> dict[str, Any]:
    """The context of charts.html.j2: the charts with their pictures, scripts, and the policy that allows no others.

    data: what the script draws from, plain values.
    """
    index: dict[str, Any] = read_json(folder / INDEX)
    figures = [figure for chart in index["charts"] for figure in chart["figures"]]
    specs = {figure["name"]: read_json(folder / f"{figure['name']}.vl.json") for figure in figures}
    own = sort_script() + (Path(__file__).parent / "charts.js").read_text(encoding="utf-8")
    scripts = [(folder / SCRIPT).read_text(encoding="utf-8"), own] if figures else [own]
    return {
        "charts": index["charts"],
        "methods": index["methods"],
        "notes": index["notes"],
        "rows": [_row(row) for row in index["vertebrae"] if row["split"] == "test"],
        "mapped": any("place" in row for row in index["vertebrae"]),
        "images": {figure["name"]: svg_uri(folder / f"{figure['name']}.svg") for figure in figures},
        "data": {name: index[name] for name in ("methods", "vertebrae", "pictures")} | {"specs": specs},
        "scripts": scripts,
        "policy": content_policy(scripts),
    }


def svg_uri(path: Path) -> str:
    """An SVG file as data URI."""
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table, with the places on the map as text."""
    return {**row, "places": [f"{number:.2f}".replace("-", "−") for number in row.get("place", [])]}
