"""Where in the crop the severity comes from, as a picture and in words."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage

from vertegrade.arrays import Floats
from vertegrade.drawn_tables import AREAS
from vertegrade.plotting import STYLE, Pixels, grey_values
from vertegrade.report.montage import canvas, mid_sagittal, say_if_empty, show
from vertegrade.report.strips import watermarked
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import GRADES

HEADS = ("Mean CT crop", "By gradient", "By occlusion", "PCA (exact)", "Drawn for one grade")
RAISES, LOWERS = (214, 39, 40), (31, 119, 180)
COVERS = 0.85  # of the crop below a map, where it is strongest
CHANGE_HU = 60.0  # full colour of what is drawn for one grade
SMOOTH_PX = 1.0  # a map of few vertebrae is grainier than what it means
BRIGHTEST = 99.5  # percentile of a map that has the full colour


def looks_at_figure(
    crops: Floats,
    maps: np.ndarray,
    areas: np.ndarray,
    grade: np.ndarray,
    drawn: tuple[np.ndarray, pd.DataFrame],
    settings: ReportSettings,
) -> Figure:
    """Mean crops of each grade (0-3) and over them the mean maps, with the outline of most bodies.

    crops: (M, H, W) HU. maps: (M, 3, H, W) in the order of LOOKS. areas: (M, H, W) places in AREAS. grade: (M,) by the
    model. drawn: images (K, 2 + T, C, H, W) HU of pictures at other grades, and their COUNTERFACTUALS.
    """
    rows = [place for place in GRADES if (grade == place).any()]
    with matplotlib.rc_context(STYLE):
        lines = max(1, len(rows)) * 1.08 + 0.62
        figure, axes = canvas((len(HEADS) + 0.9) * 1.7, lines * 1.7 + 0.75, len(HEADS) + 0.9, lines, top=0.45)
        for column, head in enumerate(HEADS):
            axes.text(column + 1.4, -0.04, head, ha="center", va="bottom", weight="bold", fontsize=9)
        means = {
            place: [ndimage.gaussian_filter(m, SMOOTH_PX) for m in maps[grade == place].mean(axis=0)] for place in rows
        }
        most = [
            max([np.percentile(np.abs(means[place][n]), BRIGHTEST) for place in rows], default=1.0) for n in range(3)
        ]
        for line, place in enumerate(rows):
            y = line * 1.08
            chosen = grade == place
            axes.text(0.03, y + 0.3, f"Grade {place}", va="top", fontsize=11, weight="bold")
            axes.text(0.03, y + 0.48, f"{chosen.sum()} vertebrae", va="top", fontsize=8)
            grey = grey_values(crops[chosen].mean(axis=0), settings)
            body = np.isin(areas[chosen], [AREAS.index("body"), AREAS.index("endplates")]).mean(axis=0)
            show(axes, grey, 0.9, y)
            for n in range(3):
                show(axes, over(grey, means[place][n], most[n]), 1.9 + n, y)
                _outline(axes, body, 1.9 + n, y)
            if place:
                _change(axes, drawn, place, 4.9, y, settings)
        _key(axes, len(rows) * 1.08, settings)
        say_if_empty(axes, pd.DataFrame(index=range(len(rows))))
    return figure


def over(grey: Pixels, values: Floats, most: float) -> Pixels:
    """RGB (H, W, 3): a map over its crop (H, W), red above and blue below 0; the stronger, the less shows through."""
    part = np.clip(values / max(most, 1e-12), -1, 1)[..., None]
    cover = COVERS * np.abs(part)
    return np.asarray(cover * np.where(part > 0, RAISES, LOWERS) + (1 - cover) * grey[..., None], np.uint8)


def mean_change(images: np.ndarray, pictures: pd.DataFrame, grade: int) -> Floats | None:
    """Mean change (H, W) in HU from the picture at grade 0 to that at `grade`, for one grade of severity.

    Of the vertebrae that figures count.

    None where there is no picture, or where the severity does not rise.
    """
    keys = ["row", "picture", "severity"]
    pictures = pictures[pictures["counted"]]
    low = pictures.loc[pictures["wanted_grade"] == 0, keys]
    pairs = low.merge(pictures.loc[pictures["wanted_grade"] == grade, keys], on="row", suffixes=("_low", "_high"))
    rise = float((pairs["severity_high"] - pairs["severity_low"]).sum())
    if not len(pairs) or rise <= 0:
        return None
    stacks = mid_sagittal(images)
    ends = zip(pairs["row"], pairs["picture_low"], pairs["picture_high"], strict=True)
    change: Floats = np.sum(
        [stacks[row, 2 + high].astype(float) - stacks[row, 2 + low] for row, low, high in ends], axis=0
    )
    return change / rise


def _change(
    axes: Axes, drawn: tuple[np.ndarray, pd.DataFrame], grade: int, x: float, y: float, settings: ReportSettings
) -> None:
    change = mean_change(*drawn, grade)
    if change is not None:
        part = np.clip(change / CHANGE_HU, -1, 1)
        colours = matplotlib.colormaps["PuOr_r"]((part + 1) / 2)[..., :3] * 255
        show(axes, watermarked(np.asarray(colours, np.uint8)), x, y)


def _outline(axes: Axes, body: Floats, x: float, y: float) -> None:
    """Where at least half of the bodies and their endplates are."""
    side = np.array(body.shape)
    at = (np.arange(side[1]) + 0.5) / side[1] * 0.96 + x + 0.02, (np.arange(side[0]) + 0.5) / side[0] * 0.96 + y + 0.02
    if body.max() > 0.5 > body.min():
        axes.contour(*at, body, levels=[0.5], colors="#ffd400", linewidths=0.8)


def _key(axes: Axes, y: float, settings: ReportSettings) -> None:
    """What the colours mean."""
    ramp = np.linspace(-1, 1, 128)[None]
    show(axes, over(np.full(ramp.shape, 255, np.uint8), ramp, 1.0), 1.9, y + 0.08, shape=(2.96, 0.07))
    axes.text(3.4, y + 0.2, "lowers the severity … raises it", ha="center", va="top", fontsize=8)
    colours = np.asarray(matplotlib.colormaps["PuOr_r"]((ramp + 1) / 2)[..., :3] * 255, np.uint8)
    show(axes, colours, 4.9, y + 0.08, shape=(0.96, 0.07))
    text = f"less dense … denser,\n−{CHANGE_HU:.0f} to +{CHANGE_HU:.0f} HU"
    axes.text(5.4, y + 0.2, text, ha="center", va="top", fontsize=8)
    axes.text(0.9, y + 0.2, "Yellow: where most bodies are", va="top", fontsize=8)
