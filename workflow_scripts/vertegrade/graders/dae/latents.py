"""The table of latents of a shard."""

import numpy as np
import pandas as pd

from vertegrade.graders.dae.encoding import encode
from vertegrade.graders.dae.weights import Dae
from vertegrade.tables import LATENTS, check_table


def dae_latents(dae: Dae, crops: pd.DataFrame, pixels: np.ndarray, batch_size: int) -> pd.DataFrame:
    """Table LATENTS of table CROPS and its pixels, int16 HU (N, S, H, W)."""
    latents = crops.assign(model_sha256=dae.sha256, z=list(encode(dae, [pixels], batch_size)))
    return check_table(latents[[name for name in LATENTS.columns if name in latents]], LATENTS, "latents of the DAE")
