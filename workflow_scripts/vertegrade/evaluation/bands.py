"""Bands of slice thickness by which figures are given."""

import itertools

import numpy as np
import pandas as pd


def thickness_bands(thickness_mm: pd.Series, edges: list[float]) -> tuple[pd.Series, list[str]]:
    """Name of each case's band, and all names in order; thickness on an edge belongs to the thinner band."""
    names = [f"<= {edges[0]:g} mm", *(f"{a:g}-{b:g} mm" for a, b in itertools.pairwise(edges))]
    names += [f"> {edges[-1]:g} mm", "unknown"]
    thickness = thickness_mm.to_numpy(dtype=float).round(2)  # 1.9999 or 2.0001 mm are 2 mm
    index = np.where(np.isnan(thickness), len(names) - 1, np.searchsorted(edges, thickness, side="left"))
    return pd.Series([names[i] for i in index], index=thickness_mm.index, dtype=object), names
