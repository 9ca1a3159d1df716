"""What is drawn over the picture of a spine: bodies, six points, levels and grades, in millimetres of the picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.level_texts import level_text
from vertegrade.levels import NAMES
from vertegrade.report.patients.findings import Vertebra
from vertegrade.report.spine_view import body_outline
from vertegrade.tables import centres_of, doubt_of, points_of

TEXT_MM, LINE_MM = 70.0, 8.0  # room for the words at the right; between two lines of them


@dataclass(frozen=True)
class Body:
    """One vertebra. outline: a polygon of SVG. columns: lines of the heights, (x1, y1, x2, y2). vertebra: None for one
    that no grade is asked of."""

    name: str
    level: str
    outline: str
    columns: list[tuple[float, float, float, float]]
    edge: tuple[float, float]
    text_y: float
    vertebra: Vertebra | None


@dataclass(frozen=True)
class Overlay:
    """Sizes in mm: of the picture, and of the whole with the words beside it."""

    width: float
    height: float
    total_width: float
    total_height: float
    half_pixel: float
    bodies: list[Body]


def overlay(place: Mapping[str, Any], landmarks: pd.DataFrame, vertebrae: Mapping[int, Vertebra]) -> Overlay:
    """What is drawn over the picture of a scan.

    place: its row of SPINES. landmarks: its rows of LANDMARKS, at least one. vertebrae: by VerSe label; those of which
    no grade is asked have none.
    """
    rows = landmarks.sort_values("centre_z_mm", ascending=False, kind="stable")
    centres, points = centres_of(rows), points_of(rows)
    doubt = doubt_of(rows)["label_confidence"].to_numpy(float)
    width, height = (place[side] * place["pixel_mm"] for side in ("columns", "rows"))
    heights = _lines(place["top_mm"] - centres[:, 2])
    bodies = []
    for n, label in enumerate(rows["vertebra"]):
        outline = _in_picture(body_outline(points[n], centres, n), place)[:-1]
        columns: list[tuple[float, float, float, float]] = []
        if np.isfinite(points[n]).all():
            pairs = _in_picture(points[n], place).reshape(3, 4).round(1)
            columns = [tuple(map(float, pair)) for pair in pairs]  # type: ignore[misc]
        bodies.append(
            Body(
                name=NAMES[label],
                level=level_text(label, doubt[n]),
                outline=" ".join(f"{x:.1f},{y:.1f}" for x, y in outline),
                columns=columns,
                edge=(round(float(outline[:, 0].max()), 1), round(float(outline[:, 1].mean()), 1)),
                text_y=round(float(heights[n]), 1),
                vertebra=vertebrae.get(label),
            )
        )
    bottom = max(height, float(heights[-1]) + LINE_MM)
    return Overlay(width, height, width + TEXT_MM, bottom, place["pixel_mm"] / 2, bodies)


def _in_picture(points: Floats, place: Mapping[str, Any]) -> Floats:
    """RAS mm (n, 3) as mm to the right of and below the centre of the picture's first pixel (n, 2)."""
    return np.stack([place["front_mm"] - points[:, 1], place["top_mm"] - points[:, 2]], axis=1)


def _lines(y: Floats) -> list[float]:
    """Heights of the words, downwards: those of the centres, but none above the picture, nor two nearer than a line."""
    heights = [max(float(y[0]), LINE_MM / 2)]
    for value in y[1:]:
        heights.append(max(float(value), heights[-1] + LINE_MM))
    return heights
