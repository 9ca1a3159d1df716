"""What all pictures share: the notice, colours, style, grey values of a CT, and files with the same bytes each time."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vertegrade.files import new_file
from vertegrade.settings.report import ReportSettings

Pixels = NDArray[np.uint8]

NOTICE = "Research use only, not a medical device"
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.axisbelow": True,
    "axes.edgecolor": "#5b6672",
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "vertegrade",  # names of SVG elements, otherwise random
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # letters stay text, as journals ask
}
DATELESS = {".svg": {"Date": None}, ".pdf": {"CreationDate": None, "Producer": None}, ".png": {"Software": None}}


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as .svg, .pdf or .png (by the path's suffix), without dates or versions in the file."""
    path = Path(path)
    with matplotlib.rc_context(STYLE), new_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=150, metadata=DATELESS[path.suffix])


def grey_values(hu: np.ndarray, settings: ReportSettings) -> Pixels:
    """Grey values 0-255 of HU in the display window."""
    low = settings.window_centre_hu - settings.window_width_hu / 2
    grey = (hu.astype(float) - low) / settings.window_width_hu * 255
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)
