"""Vega without a browser and without a network: SVG of a chart, and the scripts that draw it on a page."""

import re
from pathlib import Path
from typing import Any

import vl_convert

# Only what the page calls; the bundler leaves out what this does not need.
SNIPPET = "window.vegaEmbed = vegaEmbed;"
# Places and sizes in an SVG, never its texts, and their numbers of more than two decimals.
PLACES = re.compile(r' (?:transform|d|x2|y2|width|height)="[^"]*"')
LONG = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")


def chart_svg(spec: dict[str, Any]) -> str:
    """A Vega-Lite chart as SVG, its places in hundredths of a pixel: more digits are an eighth of a page."""
    svg: str = vl_convert.vegalite_to_svg(spec)
    return PLACES.sub(lambda places: LONG.sub(_hundredths, places[0]), svg) + "\n"


def _hundredths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script that defines `vegaEmbed`, with the licences that go with them."""
    licences = (Path(__file__).parent / "licences.js").read_text(encoding="utf-8")
    bundle: str = vl_convert.javascript_bundle(SNIPPET)
    return f"{licences}(() => {{{bundle}}})();\n"  # its names stay its own
