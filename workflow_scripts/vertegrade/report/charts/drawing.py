"""Vega without a browser and without a network: SVG of a chart, and the scripts that draw it on a page."""

from pathlib import Path
from typing import Any

import vl_convert

# Only what the page calls; the bundler leaves out what this does not need.
SNIPPET = "window.vegaEmbed = vegaEmbed;"


def chart_svg(spec: dict[str, Any]) -> str:
    """A Vega-Lite chart as SVG."""
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg + "\n"


def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script that defines `vegaEmbed`, with the licences that go with them."""
    licences = (Path(__file__).parent / "licences.js").read_text(encoding="utf-8")
    bundle: str = vl_convert.javascript_bundle(SNIPPET)
    return f"{licences}(() => {{{bundle}}})();\n"  # its names stay its own
