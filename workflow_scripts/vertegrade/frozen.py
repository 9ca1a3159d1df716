"""A trained model as a folder that grades other scans: opening one, what is wrong with one, freezing that of a run.

A model is the results folder of a finished run, whose facts are in headers and manifests, or a frozen folder, whose
facts are in its `model.json`. Both are read by `read_model`. This happens while the Snakefile is parsed, so nothing
here may import torch, numpy or pandas.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vertegrade.files import file_hashes, is_litter, sha256_of, write_json, write_text
from vertegrade.graders.fusion.definition import fusion_sha256
from vertegrade.graders.keypoints.definition import definition_sha256
from vertegrade.methods import BASELINES, INTACT_HEIGHTS, MAIN, METHODS, STEPS
from vertegrade.model_files import DAE_FORMAT, FITTED_KEYS, NETWORKS, ModelFileError, check_keys, read_metadata
from vertegrade.settings.base import dotted, nested
from vertegrade.workflow.code_hash import code_of, packages_of

FORMAT = "vertegrade-model-1"
FACTS, CARD, CARD_TEXT = "model.json", "model_card.json", "MODEL_CARD.md"
LOCALIZER = "localizer"  # folder of the networks, and of sight, in a frozen folder
SIGHT = "sight.safetensors"
CANAL = "canal.safetensors"  # of seq2seq alone
SHIPPED = "models/grader"  # of the clone
SHIPPED_NAME = "shipped"  # value of run.model that means it
DAE_WEIGHTS = METHODS[MAIN].weights
POINTS = ("keypoints", "fusion")  # whose latents depend on what sets the six points
# Rules whose manifests contain settings of the model, and which.
RECORDED_BY = {
    "localize": ("localize",),
    "fit_hyperplane": ("grading.fracture_grade", "grading.classifier", "grading.folds"),
    "calibrate": ("grading.calibration", "grading.coverage"),
}
# Where things lie, and what belongs to a run's own scans: no part of a model. Weights are compared by content.
OF_ONE_RUN = frozenset(
    {"localize.weights", "localize.overrides", "localize.tool_minutes", "localize.mask_labels", "grading.novel"}
)
# The rules that lead from a scan to its grades. Their code and packages are a part of what a model's figures mean.
GRADING_RULES = (
    "localize",
    "measure",
    "crop",
    "encode",
    "appearance",
    "grade",
    "patches",
    "score_supervised",
    "score_supcon",
    "straight_spines",
    "score_seq2seq",
    "grade_scores",
)
RETRAIN = "train the model again with this version"
FREEZE_AGAIN = "copy the whole folder again, or freeze its run again"


@dataclass(frozen=True)
class Model:
    """What a folder says about its model.

    values: settings that made it, by dotted key. networks: SHA-256 of the localizer's weights by file name; empty where
    something else found the vertebrae. taught_by: `scans` (keys of model_card.SCANS) and `labels` (also `virtual`, of
    virtual fractures) of its training.
    code, packages: hash of the code, and versions of packages, that led from scans to grades when it was made.
    files: SHA-256 of its files, by path below the folder, of a frozen one; empty for a run.
    """

    folder: str
    values: dict[str, Any]
    networks: dict[str, str]
    taught_by: dict[str, str]
    code: dict[str, str]
    packages: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)


def is_frozen(folder: str) -> bool:
    """Whether a folder is a frozen model; else it should be the results of a run."""
    return Path(folder, FACTS).is_file()


def sight_folder(model: str, shipped: str) -> str:
    """Folder of the weights that see whether a scan lies as its header says. shipped: that of the clone's localizer."""
    return f"{model}/{LOCALIZER}" if model and is_frozen(model) else shipped


def canal_folder(model: str, shipped: str) -> str:
    """Folder of the weights that find the spinal canal, as `sight_folder`; a model without seq2seq has none."""
    folder = f"{model}/{LOCALIZER}"
    return folder if model and is_frozen(model) and Path(folder, CANAL).is_file() else shipped


def methods_in(folder: str) -> list[str]:
    """The methods that a model grades by: the main one, and what else it was trained for but baselines."""
    return [
        method
        for method in METHODS
        if method == MAIN or (method not in BASELINES and Path(folder, "grading", method).is_dir())
    ]


def read_model(folder: str) -> Model:
    """The facts of a model; ModelFileError where the folder is none, or does not say."""
    name = FACTS if is_frozen(folder) else DAE_WEIGHTS
    try:
        return _of_frozen(folder) if is_frozen(folder) else _of_run(folder)
    except json.JSONDecodeError as error:
        raise ModelFileError(f"{name}, or its header, is damaged ({error}); copy the folder again") from error
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"its files lack {error}, as those of another version; {RETRAIN}") from error


def _of_frozen(folder: str) -> Model:
    facts = json.loads(Path(folder, FACTS).read_text(encoding="utf-8"))
    if facts["format"] != FORMAT:
        raise ModelFileError(
            f"{FACTS} has the format {facts['format']!r}, this version reads {FORMAT!r}; use the version of Vertegrade "
            "that froze it, or freeze its run again with this one"
        )
    del facts["format"]
    return Model(folder, **facts)


def _of_run(folder: str) -> Model:
    facts = _weights_facts(Path(folder))
    values = dotted({"dae": {"model": facts["model"]}, "crop": facts["crop"]})
    for rule, keys in RECORDED_BY.items():
        recorded = _manifest(folder, rule)["params"]["settings"]
        values |= dotted(nested({key: recorded[key] for key in keys}))
    networks: dict[str, str] = {}
    if values["localize.method"] == "learned":
        inputs = {Path(path).name: digest for path, digest in _manifest(folder, "localize")["inputs"].items()}
        networks = {name: inputs[name] for name in NETWORKS}
    made_by = {
        rule: _manifest(folder, rule)["params"] for rule in GRADING_RULES if Path(folder, "manifest", rule).is_dir()
    }
    return Model(
        folder,
        values,
        networks,
        taught_by=_taught_by(folder),
        code={rule: params["code"] for rule, params in made_by.items()},
        packages={name: version for params in made_by.values() for name, version in params["packages"].items()},
    )


def _weights_facts(folder: Path) -> dict[str, Any]:
    """Settings of the networks and of the crops that they were trained on."""
    if not (folder / DAE_WEIGHTS).is_file():
        raise ModelFileError(
            f"neither {FACTS} nor {DAE_WEIGHTS} is in it; name a frozen model, or the results folder of a finished run "
            "that trained"
        )
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


def _taught_by(folder: str) -> dict[str, str]:
    """Whose scans and whose labels a run learned from."""
    scans = "phantoms" if Path(folder, "manifest/phantom").is_dir() else "people"
    if any("/virtual/labels/" in path for path in _manifest(folder, "fit_hyperplane")["inputs"]):
        return {"scans": scans, "labels": "virtual"}
    drawn = any(path.endswith("/truth.parquet") for path in _manifest(folder, "labels")["inputs"])
    return {"scans": scans, "labels": "phantoms" if drawn else "people"}


def model_problems(folder: str, methods: Iterable[str]) -> Iterator[str]:
    """Files of a model's graders that are missing, damaged, or of another version."""
    for name in [INTACT_HEIGHTS, *(name for method in methods for name in METHODS[method].model_files)]:
        path = Path(folder, name)
        try:
            if path.suffix == ".json":
                check_keys(json.loads(path.read_text(encoding="utf-8")), FITTED_KEYS[path.name], str(path))
            else:
                read_metadata(path)
        except OSError:
            yield f"{path} is not there, or may not be read; name a frozen model or the results of a finished run"
        except json.JSONDecodeError:
            yield f"{path} is damaged; copy it again, or {RETRAIN}"
        except ModelFileError as error:
            yield str(error)


def content_problems(model: Model, methods: Iterable[str], points_from: str) -> Iterator[str]:
    """Files that are not what a frozen model was made of, and graders that fit neither its weights nor this version.

    All its files are hashed. points_from: what sets this run's six points, `networks` or `masks`.
    """
    yield from _strangers(model)
    for name, digest in model.files.items():
        path = Path(model.folder, name)
        if not path.is_file():
            yield f"{path} is not there, but {FACTS} names it; {FREEZE_AGAIN}"
        elif (found := sha256_of(path)) != digest:
            yield f"{path} was altered: its SHA-256 is {found[:12]}, {FACTS} says {digest[:12]}; {FREEZE_AGAIN}"
    for method in methods:
        path = Path(
            model.folder, "grading", method, "probabilities.json" if METHODS[method].scores else "hyperplane.json"
        )
        its = json.loads(path.read_text(encoding="utf-8"))["model_sha256"]
        weights = METHODS[method].weights
        found = sha256_of(Path(model.folder, weights)) if weights else ""
        if weights and its != found:
            yield f"{path}: fitted to other weights than {weights}; copy the whole folder of the model again"
        steps = Path(model.folder, STEPS)
        if method == MAIN and read_metadata(steps).get("model_sha256") != found:
            yield f"{steps}: learned from other weights than {weights}; copy the whole folder of the model again"
        if method in POINTS and its != _points_sha256(model.folder, method, points_from):
            yield (
                f"{path}: fitted to other indices than this version takes from points of {points_from}, or to other "
                f"heights than {INTACT_HEIGHTS}; {RETRAIN}, or remove {path.parent} to grade without {method}"
            )


def _strangers(model: Model) -> Iterator[str]:
    """What lies in a frozen model and is no part of it, such as a newer one that was copied into it and not over it."""
    folder = Path(model.folder)
    known = {FACTS, *model.files}
    known |= {parent.as_posix() for name in model.files for parent in Path(name).parents}
    strange: list[str] = []
    for path in sorted(folder.rglob("*")) if model.files else []:
        name = path.relative_to(folder)
        inside = any(parent.as_posix() in strange for parent in name.parents)
        if name.as_posix() not in known and not inside and not is_litter(path.name):
            strange.append(name.as_posix())
    if strange:
        yield (
            f"{folder} also contains {', '.join(strange[:3])}{', ...' * (len(strange) > 3)}, which {FACTS} does not "
            "name: was another model copied into it? Remove the folder and copy the model again, or take them out of it"
        )


def _points_sha256(folder: str, method: str, points_from: str) -> str:
    """What the latents of a method that reads six points are made by."""
    definition = definition_sha256(points_from, sha256_of(Path(folder, INTACT_HEIGHTS)))
    if method == "keypoints":
        return definition
    return fusion_sha256(sha256_of(Path(folder, DAE_WEIGHTS)), definition)


def differences(model: Model) -> list[str]:
    """What is no fault but worth knowing: code and packages between scan and grade that are others than the model's.

    Other code is no news of the grader that ships: a test of the clone holds its grades to what they were.
    """
    ships = Path(model.folder).resolve() == Path(__file__).resolve().parents[2] / SHIPPED
    rules = [rule for rule, code in model.code.items() if code_of(rule) != code and not ships]
    here = {name: version for rule in model.code for name, version in packages_of(rule).items()}
    packages = [
        f"{name} {version} (here {here.get(name, 'none')})"
        for name, version in sorted(model.packages.items())
        if here.get(name) != version
    ]
    changed = [f"other code of {', '.join(rules)}"] * bool(rules) + [", ".join(packages)] * bool(packages)
    return [f"the model was made with {' and '.join(changed)}: its measured figures are those of that version"] * bool(
        changed
    )


def freeze(model: Model, files: Mapping[str, Path], card: Mapping[str, Any], text: str, folder: Path) -> None:
    """Write the model of a run into an empty folder, and open it there; ModelFileError where it would be refused.

    files: by their paths in the folder. card, text: the model card as numbers and as Markdown.
    """
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    write_json(folder / CARD, card)
    write_text(folder / CARD_TEXT, text)
    facts = {name: value for name, value in vars(model).items() if name != "folder"}
    facts["values"] = {key: value for key, value in model.values.items() if key not in OF_ONE_RUN}
    facts["files"] = {Path(path).relative_to(folder).as_posix(): sha for path, sha in file_hashes([folder]).items()}
    write_json(folder / FACTS, facts | {"format": FORMAT})
    frozen = read_model(str(folder))
    found = {name: frozen.files[f"{LOCALIZER}/{name}"] for name in frozen.networks}
    problems = [*model_problems(str(folder), methods_in(str(folder)))]
    if found != frozen.networks:
        problems.append(f"the vertebrae of {model.folder} were found by other networks than those; localize again")
    if problems:
        raise ModelFileError("; ".join(problems))
