"""A given model (`run.model`) against this run: what shaped the model's inputs and decisions must be the same here.

This is done while the Snakefile is parsed, so nothing here may import torch, numpy or pandas.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from vertegrade.files import sha256_of
from vertegrade.frozen import FACTS, LOCALIZER, OF_ONE_RUN, RETRAIN, SHIPPED, SHIPPED_NAME, Model
from vertegrade.model_files import NETWORKS, ModelFileError
from vertegrade.settings import Settings
from vertegrade.settings.base import dotted, nested
from vertegrade.settings.loading import SettingsError, check_settings

# They decide whether a vertebra is graded, not what the model sees of it: the model's unless this run gives its own.
FREE = {
    "crop.core_mm",
    "crop.min_inside",
    "localize.min_confidence",
    "localize.first_vertebra",
    "localize.last_vertebra",
    "localize.min_gap_mm",
    "localize.max_gap_mm",
}


def model_folder(given: str, root: Path) -> str:
    """The folder that a value of run.model means. root: of the clone; ModelFileError where it ships no grader."""
    if given != SHIPPED_NAME:
        return given
    if not (root / SHIPPED / FACTS).is_file():
        raise ModelFileError(
            f"this clone has no grader that ships ({root / SHIPPED / FACTS} is not there); make one by `snakemake "
            f"freeze` in a finished run and copy its folder `frozen` to {root / SHIPPED}, or name as run.model a "
            "frozen model or the results folder of a finished run"
        )
    return os.path.relpath(root / SHIPPED)  # so that moving a clone with its results re-runs nothing


def with_model(settings: Settings, given: Mapping[str, str], model: Model, shipped: Path) -> tuple[Settings, list[str]]:
    """The settings with the model's own wherever it has its own, and a problem for each that this run gives otherwise.

    given: dotted key -> where a person gave it. shipped: folder of the localizer's weights that come with Vertegrade.
    """
    values = dotted(settings.model_dump())
    problems = []
    ours = {key for key in values if key.startswith(("crop.", "localize.", "dae.model."))}
    for lacking, words in ((ours - model.values.keys() - FREE - OF_ONE_RUN, "it does not know"),
                           (model.values.keys() - values.keys(), "this version does not know its")):  # fmt: skip
        if lacking:
            problems.append(f"run.model = {model.folder}: made by another version, {words} {min(lacking)}; {RETRAIN}")
    ignored = set(OF_ONE_RUN)
    if model.values["localize.method"] != "learned":
        ignored |= {key for key in values if key.startswith("localize.centreline.")}
    for key, its in model.values.items():
        if key not in values or key in ignored or (key in FREE and key in given):
            continue
        if key in given and values[key] != its:
            problems.append(
                f"{given[key]}: `{key}` is {values[key]!r}, but the model {model.folder} was made with {its!r}; leave "
                "the key out, so that the model's own value counts, or train a model with yours"
            )
        values[key] = its
    if not problems:
        values["localize.weights"], problems = _weights(values["localize.weights"], given, model, shipped)
    if problems:
        return settings, problems
    try:
        return check_settings(nested(values)), []
    except SettingsError as error:
        return settings, [f"run.model = {model.folder}: its settings and yours do not go together: {error}"]


def _weights(own: str, given: Mapping[str, str], model: Model, shipped: Path) -> tuple[str, list[str]]:
    """Folder of the localizer's weights ("" for those that ship) that found the model's vertebrae."""
    if not model.networks:
        return own, []
    candidates = [own] if "localize.weights" in given else _model_folders(model)
    for folder in candidates:
        if _digests(Path(folder) if folder else shipped) == model.networks:
            return folder, []
    digests = ", ".join(f"{name} {digest[:12]}" for name, digest in model.networks.items())
    where = given.get("localize.weights", f"run.model = {model.folder}")
    return own, [
        f"{where}: the model's vertebrae were found by other weights of the localizer than those of "
        f"{' or '.join(folder or str(shipped) for folder in candidates)}; set localize.weights to the folder "
        f"that has the model's (SHA-256: {digests}), or train a model with yours"
    ]


def _model_folders(model: Model) -> list[str]:
    """Where the model's own localizer may lie: of a run with Vertegrade, where it named it, or where it trained it."""
    trained = f"{model.folder}/{LOCALIZER}"
    return [trained] if model.files else ["", str(model.values["localize.weights"]), trained]


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the localizer's weights in a folder, without those that are not there."""
    return {name: sha256_of(folder / name) for name in NETWORKS if (folder / name).is_file()}
