"""What the files of a trained model contain. Imported while the Snakefile is parsed, so no torch, numpy or pandas."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DAE_FORMAT = "vertegrade-dae-1"
NETWORKS = ("centreline.safetensors", "vertebrae.safetensors")
LARGEST_HEADER = 100_000_000  # bytes, as safetensors itself allows
# Keys of grading/{method}/hyperplane.json, calibrator.json and novelty.json.
HYPERPLANE_KEYS = frozenset(
    [
        "mean",
        "whitening",
        "w",
        "pattern",
        "b",
        "fracture_grade",
        "classifier",
        "whitened",
        "C",
        "auc_cv",
        "vertebrae",
        "fractured",
        "patients",
        "model_sha256",
    ]
)
CALIBRATION_KEYS = frozenset(
    [
        "hyperplane_sha256",
        "fracture_grade",
        "chosen",
        "calibrators",
        "scale",
        "intervals",
        "scores",
        "usual_errors",
        "patient",
    ]
)
NOVELTY_KEYS = frozenset(
    [
        "calibrator_sha256",
        "latent",
        "image",
        "contrasts",
        "offsets",
        "usual",
        "limits",
        "scores",
        "vertebrae",
        "patients",
    ]
)
# Of heights/intact_heights.json.
INTACT_HEIGHTS_KEYS = frozenset(["source", "about", "patients", "vertebrae", "levels", "person_sd", "vertebra_sd"])
# Of grading/{method}/probabilities.json.
PROBABILITY_KEYS = frozenset(
    [
        "model_sha256",
        "fracture_grade",
        "inverse_temperature",
        "bias",
        "scale",
        "intervals",
        "patient",
        "scores",
        "vertebrae",
        "patients",
    ]
)
# By the names of the files.
FITTED_KEYS = {
    "hyperplane.json": HYPERPLANE_KEYS,
    "calibrator.json": CALIBRATION_KEYS,
    "novelty.json": NOVELTY_KEYS,
    "intact_heights.json": INTACT_HEIGHTS_KEYS,
    "probabilities.json": PROBABILITY_KEYS,
}


class ModelFileError(ValueError):
    """A model's file was written by another version, or is damaged; the message says what is wrong and what to do."""


def check_keys(numbers: object, keys: frozenset[str], name: str) -> None:
    """ModelFileError where a file has not exactly the keys that this version reads. name: the file, or what it is."""
    found = set(numbers) if isinstance(numbers, Mapping) else set[str]()
    problems = [f"no {key!r}" for key in sorted(keys - found)] + [f"{key!r} too much" for key in sorted(found - keys)]
    if problems:
        raise ModelFileError(
            f"{name}: {', '.join(problems)}: another version wrote it; train the model again with this one"
        )


def read_metadata(path: Path) -> dict[str, Any]:
    """Metadata that `weights.write_weights` put into a safetensors file, from its header alone; {} where it has none.

    ModelFileError: no safetensors file, or cut off.
    """
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(size, LARGEST_HEADER)))
        metadata: dict[str, Any] = json.loads(header.get("__metadata__", {}).get("vertegrade", "{}"))
        return metadata
    except (OSError, ValueError, struct.error, AttributeError) as error:
        raise ModelFileError(f"{path}: not a readable safetensors file; copy it again, or train again") from error
