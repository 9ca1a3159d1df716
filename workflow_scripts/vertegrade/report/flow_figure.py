"""The cohort flow as a diagram: boxes from top to bottom, and next to each arrow what was left out."""

from typing import Any

import matplotlib
from matplotlib.figure import Figure

from vertegrade.plotting import COLOURS, NOTICE, STYLE

LINE_CM = 0.42  # height of a line of text
GAP_CM = 0.9  # between two boxes
BOX_CM, SIDE_CM = 6.6, 8.4
CM = 1 / 2.54  # inches


def flow_figure(steps: list[dict[str, Any]]) -> Figure:
    """The steps of `flow.flow_steps` as a CLAIM flow diagram."""
    heights = [max(2, len(step["lost"]) + 1 if step["lost"] else 0) * LINE_CM + GAP_CM for step in steps]
    total, width = sum(heights) + 1.0, BOX_CM + SIDE_CM + 1.8
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width * CM, total * CM))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(0, total))
        axes.axis("off")
        top, above = total - 0.3, None
        for step, height in zip(steps, heights, strict=True):
            middle = top - height / 2
            if above is not None:
                axes.annotate(
                    "", (0.5 + BOX_CM / 2, middle + 0.55), (0.5 + BOX_CM / 2, above - 0.55),
                    arrowprops={"arrowstyle": "-|>", "color": COLOURS[0]},
                )  # fmt: skip
            _box(axes, 0.5 + BOX_CM / 2, middle, f"{step['name']}\n{step['count']}", COLOURS[0], "center")
            if step["lost"]:
                lines = [f"left out: {step['lost_sum']}", *(f"{n} × {reason}" for reason, n in step["lost"])]
                _box(axes, BOX_CM + 1.3, middle, "\n".join(lines), COLOURS[1], "left")
            top, above = top - height, middle
        axes.text(width / 2, 0.2, NOTICE, ha="center", va="bottom", fontsize=7)
    return figure


def _box(axes: Any, x: float, y: float, text: str, colour: str, side: str) -> None:
    style = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": colour}
    axes.text(x, y, text, ha=side, va="center", fontsize=8, linespacing=1.2, bbox=style)
