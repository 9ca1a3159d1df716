"""A given model (`run.model`) against this run: what shaped the model's inputs and decisions must be the same here.

The facts come from the run that made the model: metadata of its weights, and its manifests. This is read while the
Snakefile is parsed, so nothing here may import torch, numpy or pandas.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertegrade.files import sha256_of
from vertegrade.graders.keypoints.definition import definition_sha256
from vertegrade.methods import MAIN, METHODS
from vertegrade.model_files import (
    CALIBRATION_KEYS,
    DAE_FORMAT,
    HYPERPLANE_KEYS,
    NETWORKS,
    ModelFileError,
    check_keys,
    read_metadata,
)
from vertegrade.settings import Settings
from vertegrade.settings.base import dotted, nested
from vertegrade.settings.loading import SettingsError, check_settings

DAE_WEIGHTS = METHODS[MAIN].weights
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
# Where things lie, and what belongs to this run's scans. Weights are compared by content.
OF_THIS_RUN = {"localize.weights", "localize.overrides", "localize.tool_minutes"}
# Rules whose manifests contain settings of the model, and which.
RECORDED_BY = {
    "localize": ("localize",),
    "fit_hyperplane": ("grading.fracture_grade", "grading.classifier", "grading.folds"),
    "calibrate": ("grading.calibration", "grading.coverage"),
}
RETRAIN = "train the model again with this version"


@dataclass(frozen=True)
class Model:
    """What a finished run says about its model.

    values: settings that made it, by dotted key. networks: SHA-256 of the localizer's weights by file name; empty where
    something else found the vertebrae.
    """

    folder: str
    values: dict[str, Any]
    networks: dict[str, str]


def read_model(folder: str) -> Model:
    """The facts of a finished run's model, from headers and manifests; ModelFileError where they do not say."""
    try:
        facts = _weights_facts(Path(folder))
        values = dotted({"dae": {"model": facts["model"]}, "crop": facts["crop"]})
        for rule, keys in RECORDED_BY.items():
            recorded = _manifest(folder, rule)["params"]["settings"]
            values |= dotted(nested({key: recorded[key] for key in keys}))
        networks: dict[str, str] = {}
        if values["localize.method"] == "learned":
            inputs = {Path(path).name: digest for path, digest in _manifest(folder, "localize")["inputs"].items()}
            networks = {name: inputs[name] for name in NETWORKS}
    except json.JSONDecodeError as error:
        raise ModelFileError(f"the header of {DAE_WEIGHTS} is damaged ({error}); copy the folder again") from error
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"its files lack {error}, as those of another version; {RETRAIN}") from error
    return Model(folder, values, networks)


def _weights_facts(folder: Path) -> dict[str, Any]:
    """Settings of the networks and of the crops that they were trained on."""
    if not (folder / DAE_WEIGHTS).is_file():
        raise ModelFileError(f"{DAE_WEIGHTS} is not in it; name the results folder of a finished run that trained")
    metadata = read_metadata(folder / DAE_WEIGHTS)
    if metadata.get("format") != DAE_FORMAT:
        raise ModelFileError(
            f"{DAE_WEIGHTS} has the format {metadata.get('format')!r}, needed {DAE_FORMAT!r}; {RETRAIN}"
        )
    if "crop" not in metadata["facts"]:
        raise ModelFileError(f"{DAE_WEIGHTS} does not say what crops it was trained on; {RETRAIN}")
    return {"model": json.loads(metadata["model"]), "crop": json.loads(metadata["facts"]["crop"])}


def _manifest(folder: str, rule: str) -> dict[str, Any]:
    """A manifest of a rule; all its shards, and all methods, have the same settings."""
    files = sorted(Path(folder, "manifest", rule).glob("[!.]*.json"))
    if not files:
        raise ModelFileError(
            f"manifest/{rule} is not in it, so it does not say how the model was made; give the whole results folder "
            "of the run that trained it"
        )
    try:
        manifest: dict[str, Any] = json.loads(files[0].read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{files[0]} cannot be read ({error}); copy the folder again") from error
    return manifest


def model_problems(folder: str, methods: Iterator[str] | list[str]) -> Iterator[str]:
    """Files of a model's graders that are missing, damaged, or of another version."""
    for method in methods:
        for name, keys in (("hyperplane", HYPERPLANE_KEYS), ("calibrator", CALIBRATION_KEYS)):
            path = Path(folder, "grading", method, f"{name}.json")
            try:
                check_keys(json.loads(path.read_text(encoding="utf-8")), keys, str(path))
            except OSError:
                yield f"{path} is not there, or may not be read; name the results folder of a finished run that trained"
            except json.JSONDecodeError:
                yield f"{path} is damaged; copy it again, or {RETRAIN}"
            except ModelFileError as error:
                yield str(error)


def grader_problems(folder: str, methods: Iterable[str], points_from: str) -> Iterator[str]:
    """Graders of a model that fit neither its weights nor this version's indices; these files are hashed for it.

    points_from: what sets this run's six points, `networks` or `masks`.
    """
    for method in methods:
        path = Path(folder, "grading", method, "hyperplane.json")
        its = json.loads(path.read_text(encoding="utf-8"))["model_sha256"]
        weights = METHODS[method].weights
        if weights and its != sha256_of(Path(folder, weights)):
            yield f"{path}: fitted to other weights than {weights}; copy the whole results folder of one run again"
        if method == "keypoints" and its != definition_sha256(points_from):
            yield (
                f"{path}: fitted to other indices than this version takes from points of {points_from}; {RETRAIN}, or "
                f"remove {path.parent} to grade without keypoints"
            )


def with_model(settings: Settings, given: Mapping[str, str], model: Model, shipped: Path) -> tuple[Settings, list[str]]:
    """The settings with the model's own wherever it has its own, and a problem for each that this run gives otherwise.

    given: dotted key -> where a person gave it. shipped: folder of the localizer's weights that come with Vertegrade.
    """
    values = dotted(settings.model_dump())
    problems = []
    ours = {key for key in values if key.startswith(("crop.", "localize.", "dae.model."))}
    missing = sorted(ours - model.values.keys() - FREE - OF_THIS_RUN)
    if missing:
        problems.append(
            f"run.model = {model.folder}: made by another version, it does not know {missing[0]}; {RETRAIN}"
        )
    ignored = set(OF_THIS_RUN)
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
    candidates = [own] if "localize.weights" in given else _model_folders(model)
    for folder in candidates:
        if not model.networks or _digests(Path(folder) if folder else shipped) == model.networks:
            return folder, []
    digests = ", ".join(f"{name} {digest[:12]}" for name, digest in model.networks.items())
    where = given.get("localize.weights", f"run.model = {model.folder}")
    return own, [
        f"{where}: the model's vertebrae were found by other weights of the localizer than those of "
        f"{' or '.join(folder or str(shipped) for folder in candidates)}; set localize.weights to the folder "
        f"that has the model's (SHA-256: {digests}), or train a model with yours"
    ]


def _model_folders(model: Model) -> list[str]:
    """Where the model's own localizer may lie: with Vertegrade, where its run named it, or where its run trained it."""
    return ["", str(model.values["localize.weights"]), f"{model.folder}/localizer"]


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the localizer's weights in a folder, without those that are not there."""
    return {name: sha256_of(folder / name) for name in NETWORKS if (folder / name).is_file()}
