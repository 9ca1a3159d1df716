"""The average intact vertebra of a part of the spine: what crops are compared with to see where severity is from."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats, Floats32
from vertegrade.evaluation.areas import part_of_spine
from vertegrade.tables import KEY

MOST = 128  # crops of a part of the spine; more would change an average little


def intact_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """PREDICTIONS of vertebrae graded 0: of the training split, or of all where the model was trained elsewhere."""
    intact = predictions[predictions["evaluable"] & (predictions["grade"] == 0)].sort_values(KEY)
    training = intact[intact["split"] == "train"]
    return training if len(training) else intact


def average_intact(
    labels: Sequence[int],
    intact: pd.DataFrame,
    pixels: Sequence[np.ndarray],
    seen: Callable[[np.ndarray], Floats32],
) -> Floats32:
    """Mean image (M, ...) of the intact vertebrae of each one's part of the spine; of all where it has none.

    labels: VerSe labels of the M. intact: vertebra, `shard` and `crop`, at least one row. pixels: int16 (N, S, H, W) of
    each shard. seen: from such pixels to images, as a model sees them.
    """
    if not len(labels):
        return seen(np.zeros((1, *pixels[0].shape[1:]), np.int16))[:0]
    parts = np.array([part_of_spine(label) for label in intact["vertebra"]])
    wanted = [part_of_spine(label) for label in labels]
    averages: dict[str, Floats] = {}
    for part in sorted(set(wanted)):
        rows = intact[parts == part] if (parts == part).any() else intact
        rows = rows.iloc[np.linspace(0, len(rows) - 1, min(MOST, len(rows))).round().astype(np.int64)]
        places = zip(rows["shard"], rows["crop"], strict=True)
        averages[part] = seen(np.array([pixels[shard][place] for shard, place in places])).mean(
            axis=0, dtype=np.float64
        )
    return np.array([averages[part] for part in wanted], np.float32)
