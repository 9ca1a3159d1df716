"""A spine as a curve with two ends, and its correction by bodies that were found along it."""

from dataclasses import dataclass

import numpy as np

from vertegrade.spine.centreline import Centreline, fit_centreline

CORRECTED_MM, CORRECTED_SMOOTHING_MM = 4.0, 60.0


@dataclass(frozen=True)
class SpineLine:
    """The spine of a scan, head to feet: a curve through the bodies, and from where to where on it there is spine."""

    line: Centreline
    start_arc_mm: float
    end_arc_mm: float


def through_bodies(spine: SpineLine, centres_mm: np.ndarray) -> SpineLine:
    """The spine moved to run through body centres (n, 3), RAS mm; its arc 0 is at its start.

    Between two centres the shift is interpolated, beyond the last ones it stays.
    """
    arcs = np.arange(spine.start_arc_mm, spine.end_arc_mm + CORRECTED_MM, CORRECTED_MM)
    at = spine.line.nearest(centres_mm)
    order = np.argsort(at)
    off = (centres_mm - spine.line.at(at)[0])[order]
    shift = np.stack([np.interp(arcs, at[order], off[:, axis]) for axis in range(3)], axis=1)
    line = fit_centreline(spine.line.at(arcs)[0] + shift, CORRECTED_SMOOTHING_MM)
    return SpineLine(line, 0.0, float(line.arcs[-1]))
