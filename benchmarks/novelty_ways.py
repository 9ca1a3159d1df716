"""Ways to tell how unusual a vertebra is, each fitted on training vertebrae: what `novelty.py` compares."""

from collections.abc import Callable

import numpy as np
from sklearn.covariance import LedoitWolf

from novelty_sets import Vertebrae
from vertegrade.arrays import Floats
from vertegrade.grading.appearance import ACQUISITION, CORRELATION, HISTOGRAM, LAYOUT_PART, NOISE, SPECTRUM

Numbers = Callable[[Vertebrae], Floats]
Score = Callable[[Vertebrae], Floats]
Way = Callable[[Vertebrae], Score]
LEAST = 1e-9  # so that a distance of 0 has a logarithm


def latent(those: Vertebrae) -> Floats:
    """Latents (N, D)."""
    return those.z


def image(part: slice) -> Numbers:
    """A part of the appearance."""
    return lambda those: those.x[:, part]


def column(name: str, unknown: float) -> Numbers:
    """A column of CROPS, NaN replaced."""
    return lambda those: np.nan_to_num(those.table[[name]].to_numpy(float), nan=unknown)


def everything(those: Vertebrae) -> Floats:
    """Latents and appearance as one vector."""
    return np.concatenate([those.z, those.x[:, ACQUISITION]], axis=1)


def unit(x: Floats) -> Floats:
    """Rows of length 1."""
    return x / (np.linalg.norm(x, axis=1, keepdims=True) + LEAST)


def whitened(x: Floats) -> Callable[[Floats], Floats]:
    """Takes out the covariance of training rows (shrunk, Ledoit and Wolf); the strongest directions come first."""
    mean, std = x.mean(axis=0), np.maximum(x.std(axis=0), LEAST)
    variance, axes = np.linalg.eigh(LedoitWolf(assume_centered=True).fit((x - mean) / std).covariance_)
    map_to = axes[:, ::-1] / np.sqrt(variance[::-1])
    return lambda rows: ((rows - mean) / std) @ map_to


def log_length(x: Floats) -> Floats:
    """Log of the length of rows."""
    return np.log(np.linalg.norm(x, axis=1) + LEAST)


def mahalanobis(numbers: Numbers, directions: slice = slice(None)) -> Way:
    """Log of the distance to the training mean, in some of the directions, the strongest first."""

    def fit(train: Vertebrae) -> Score:
        white = whitened(numbers(train))
        return lambda those: log_length(white(numbers(those))[:, directions])

    return fit


def normalised_mahalanobis(depth: int | None) -> Way:
    """The same of latents, standardised and brought to length 1 first (Mueller and Hein 2025)."""

    def fit(train: Vertebrae) -> Score:
        mean, std = train.z.mean(axis=0), np.maximum(train.z.std(axis=0), LEAST)
        white = whitened(unit((train.z - mean) / std))
        return lambda those: log_length(white(unit((those.z - mean) / std))[:, :depth])

    return fit


def nearest(numbers: Numbers, k: int, normalised: bool = False) -> Way:
    """Log of the distance to the k-th nearest training vertebra (Sun et al., ICML 2022), whitened."""

    def fit(train: Vertebrae) -> Score:
        white = whitened(numbers(train))
        place = (lambda those: unit(white(numbers(those)))) if normalised else (lambda those: white(numbers(those)))
        known = place(train)

        def score(those: Vertebrae) -> Floats:
            here = place(those)
            squares = np.sum(here**2, axis=1)[:, None] + np.sum(known**2, axis=1) - 2 * here @ known.T
            return 0.5 * np.log(np.maximum(np.partition(squares, k - 1, axis=1)[:, k - 1], LEAST))

        return score

    return fit


def guess(name: str) -> Way:
    """Log of an error of the DAE."""
    return lambda train: lambda those: np.log(those.errors[name].to_numpy() + LEAST)


WAYS: dict[str, Way] = {
    **{f"latent, {k} directions": mahalanobis(latent, slice(k)) for k in (8, 16, 32, 64)},
    "latent, all directions": mahalanobis(latent),
    "latent, all but 32 directions": mahalanobis(latent, slice(32, None)),
    "latent normalised, 32 directions": normalised_mahalanobis(32),
    "latent normalised, all directions": normalised_mahalanobis(None),
    "latent, nearest": nearest(latent, 1),
    "latent, 5th nearest": nearest(latent, 5),
    "latent normalised, 5th nearest": nearest(latent, 5, normalised=True),
    "DAE reconstruction error": guess("reconstruction"),
    "DAE denoising error": guess("denoising"),
    "histogram of HU": mahalanobis(image(HISTOGRAM)),
    "sharpness (spectrum)": mahalanobis(image(SPECTRUM)),
    "noise": mahalanobis(image(NOISE)),
    "correlation of neighbours": mahalanobis(image(CORRELATION)),
    "map of bone": mahalanobis(image(LAYOUT_PART)),
    "inside fraction": mahalanobis(column("inside_fraction", 1.0)),
    "slice thickness": mahalanobis(column("slice_thickness_mm", 1.5)),
    "image: histogram to correlation": mahalanobis(image(ACQUISITION)),
    "image, 5th nearest": nearest(image(ACQUISITION), 5),
    "latent and image as one vector": mahalanobis(everything),
}
