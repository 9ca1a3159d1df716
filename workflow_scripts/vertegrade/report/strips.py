"""Counterfactual strips: a vertebra's crop, the model's copy of it, and the same vertebra drawn at other grades."""

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from vertegrade.drawn_tables import LOSSES
from vertegrade.plotting import STYLE, Pixels, grey_values
from vertegrade.report.montage import (
    DOUBT_COLOUR,
    TILE,
    canvas,
    flags_in,
    levels_in,
    mid_sagittal,
    say_if_empty,
    scan_text,
    show,
)
from vertegrade.report.severities import interval_text, severity_text
from vertegrade.settings.dae import DaeModelSettings
from vertegrade.settings.report import ReportSettings
from vertegrade.vertebra_reasons import doubts_of

WATERMARK = "SYNTHETIC"
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
LINES = 2.55  # a strip, in tiles: a line of text, the images, what changed, and three lines of text
FRAME_MS = 700  # of an animation


def within_window(settings: ReportSettings, model: DaeModelSettings) -> ReportSettings:
    """The display window without what the DAE does not see: its pictures are cut off there."""
    half = settings.window_width_hu / 2
    low = max(settings.window_centre_hu - half, model.hu_low)
    high = min(settings.window_centre_hu + half, model.hu_high)
    if low >= high:
        return settings
    window = {"window_centre_hu": round((low + high) / 2), "window_width_hu": round(high - low)}
    return settings.model_copy(update=window)


def watermarked(image: Pixels, words: str = WATERMARK) -> Pixels:
    """The image `(H, W)` or `(H, W, 3)`, enlarged to TILE x TILE RGB, with words burnt into its pixels."""
    picture = Image.fromarray(image).convert("RGB").resize((TILE, TILE), Image.Resampling.BICUBIC)
    font = ImageFont.truetype(str(FONT), TILE // 9)
    fits = min(1.0, (TILE - 16) / font.getlength(words))  # else the grade at the end would be cut off
    font = ImageFont.truetype(str(FONT), int(TILE // 9 * fits))
    style: dict[str, Any] = {"font": font, "anchor": "ms", "stroke_width": 2}
    ImageDraw.Draw(picture).text((TILE // 2, TILE - 10), words, fill="white", stroke_fill="black", **style)
    return np.asarray(picture)


def difference_map(changed: np.ndarray, reference: np.ndarray, settings: ReportSettings) -> Pixels:
    """RGB `(H, W, 3)` of changed - reference in HU: orange denser, violet less dense, white unchanged."""
    part = np.clip((changed.astype(float) - reference) / settings.difference_hu, -1, 1)
    return np.asarray(matplotlib.colormaps["PuOr_r"]((part + 1) / 2)[..., :3] * 255, dtype=np.uint8)


def counterfactual_figure(
    images: np.ndarray, rows: pd.DataFrame, pictures: pd.DataFrame, true_grade: np.ndarray, settings: ReportSettings
) -> Figure:
    """Strips of M vertebrae: crop, reconstruction, and T pictures at other grades; below each what changed, in HU.

    images: `(M, 2 + T, C, H, W)` HU. rows: PREDICTIONS of the M vertebrae. pictures: COUNTERFACTUALS of these, whose
    `row` is the place in rows. true_grade: `(M,)`, NaN where unknown. The second row shows reconstruction - crop, then
    picture - reconstruction. All images but the crop are watermarked. A picture that misses its grade says so.
    """
    count = images.shape[1] - 2
    with matplotlib.rc_context(STYLE):
        lines = max(1, len(rows)) * LINES
        figure, axes = canvas((3 + count) * 1.5, lines * 1.5 + 0.75, 3 + count, lines, top=0.45)
        for column, head in enumerate(["CT", "Reconstruction"]):
            axes.text(column + 1.5, -0.04, head, ha="center", va="bottom", weight="bold", fontsize=10)
        beside = zip(levels_in(rows), flags_in(rows), rows.itertuples(), strict=True)
        for place, (level, flags, row) in enumerate(beside):
            strip = pictures[pictures["row"] == place].sort_values("picture")
            _beside(axes, place * LINES, level, flags, row, true_grade[place])
            _strip(axes, place * LINES, mid_sagittal(images[place]), strip, settings)
        axes.text(0.05, -0.04, "Vertebra", va="bottom", weight="bold", fontsize=10)
        _difference_key(axes, settings)
        say_if_empty(axes, rows)
    return figure


def _beside(axes: Axes, y: float, level: str, flags: str, row: Any, true_grade: float) -> None:
    """What is known of the vertebra itself."""
    grade = "unknown" if np.isnan(true_grade) else f"{true_grade:.0f}"
    interval = interval_text(row.severity_low, row.severity_high, "–")
    facts = f"True grade {grade}\nSeverity {severity_text(row.severity)}\n({interval})"
    axes.text(0.05, y + 0.1, level, va="top", fontsize=13, weight="bold")
    axes.text(0.05, y + 0.3, facts, va="top", fontsize=9, linespacing=1.4)
    axes.text(0.05, y + 0.85, f"Scan\n{scan_text(str(row.scan_id))}", va="top", fontsize=7, linespacing=1.4)
    doubts = "\n".join(doubts_of(flags))
    axes.text(0.05, y + 1.35, doubts, va="top", fontsize=8, linespacing=1.4, color=DOUBT_COLOUR)


def _strip(axes: Axes, y: float, images: np.ndarray, strip: pd.DataFrame, settings: ReportSettings) -> None:
    """Images (2 + T, H, W) of one vertebra and what was measured in them."""
    crop, own, *drawn = images
    show(axes, grey_values(crop, settings), 1, y)
    for column, image in enumerate([own, *drawn], start=2):
        show(axes, watermarked(grey_values(image, settings)), column, y)
        changed = difference_map(image, crop if column == 2 else own, settings)
        show(axes, watermarked(changed), column, y + 1)
    for column, picture in enumerate(strip.to_dict("records"), start=3):
        head = f"Grade {picture['wanted_grade']}" + (f", {picture['shape']}" if picture["shape"] else "")
        axes.text(column + 0.5, y - 0.04, head, ha="center", va="bottom", weight="bold", fontsize=9)
        lost, asked = ("/".join(f"{100 * picture[of + name]:.0f}" for name in LOSSES) for of in ("", "wanted_"))
        graded = f"graded {severity_text(picture['severity'])}, asked {severity_text(picture['wanted_severity'])}"
        missed = "" if picture["reached"] else "\nmisses its grade"
        style: dict[str, Any] = {"color": DOUBT_COLOUR} if missed else {}
        text = f"lost {lost} %\nasked {asked} %\n{graded}{missed}"
        axes.text(column + 0.5, y + 2.0, text, ha="center", va="top", fontsize=7, **style)
    error = f"Reconstruction error\n{strip['reconstruction_error_hu'].iloc[0]:.0f} HU (RMS in the body)"
    axes.text(1.5, y + 1.06, error, ha="center", va="top", fontsize=8)


def _difference_key(axes: Axes, settings: ReportSettings) -> None:
    """Colour bar of the difference maps, in the free tile below the first crop."""
    ramp = np.linspace(-settings.difference_hu, settings.difference_hu, 128)[None]
    show(axes, difference_map(ramp, np.zeros_like(ramp), settings), 1, 1.55, shape=(0.96, 0.08))
    axes.text(
        1.5, 1.67, f"Difference, HU\n−{settings.difference_hu} to +{settings.difference_hu}", ha="center", va="top"
    )


def animation(images: np.ndarray, heads: list[str], settings: ReportSettings) -> bytes:
    """An endless animated PNG of pictures (T, C, H, W) HU of one vertebra, each with its own words burnt in."""
    frames = [
        Image.fromarray(watermarked(grey_values(image, settings), f"{WATERMARK} {head}"))
        for image, head in zip(mid_sagittal(images), heads, strict=True)
    ]
    file = BytesIO()
    there_and_back = [*frames[1:], *frames[-2:0:-1]]
    frames[0].save(file, "PNG", save_all=True, append_images=there_and_back, duration=FRAME_MS, loop=0)
    return file.getvalue()
