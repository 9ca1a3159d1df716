"""A folder as a finished run leaves it, as far as what grades other scans: headers, keys and manifests, no networks."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from vertegrade.files import sha256_of
from vertegrade.frozen import DAE_WEIGHTS, freeze, read_model
from vertegrade.methods import INTACT_HEIGHTS, METHODS, STEPS, fitted
from vertegrade.model_files import DAE_FORMAT, FITTED_KEYS
from vertegrade.settings import Settings
from vertegrade.settings.loading import check_settings
from vertegrade.workflow.code_hash import code_of, packages_of

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "models/localizer"


def write_model(folder: Path, config: dict[str, Any] | None = None, networks: Path = SHIPPED) -> Settings:
    """Write what a run of this config leaves below `folder`, and return its settings."""
    settings = check_settings(config or {})
    crop = json.dumps(settings.crop.model_dump())
    header = {"format": DAE_FORMAT, "model": settings.dae.model.model_dump_json(), "facts": {"crop": crop}}
    write_weights(folder / DAE_WEIGHTS, header)
    write_weights(folder / STEPS, {"model_sha256": sha256_of(folder / DAE_WEIGHTS)})
    for path in [INTACT_HEIGHTS, *(path for method in ("dae", "keypoints") for path in fitted(method))]:
        write_json(folder / path, dict.fromkeys(FITTED_KEYS[Path(path).name], 1))
    grading = {f"grading.{key}": value for key, value in settings.grading.model_dump().items() if key != "pca"}
    for rule in ("fit_hyperplane", "calibrate"):
        write_json(folder / f"manifest/{rule}/dae.json", {"inputs": {}, "params": {"settings": grading}})
    found_by = sorted(networks.glob("*.safetensors")) if settings.localize.method == "learned" else []
    inputs = {f"somewhere/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in found_by}
    told = {"localize": settings.localize.model_dump()}
    params = {"settings": told, "code": code_of("localize"), "packages": packages_of("localize")}
    write_json(folder / "manifest/localize/0.json", {"inputs": inputs, "params": params})
    write_json(folder / "manifest/labels/all.json", {"inputs": {"results/phantom/0/truth.parquet": "0"}})
    return settings


def write_frozen(folder: Path, model: Path) -> None:
    """Freeze the model that `write_model` wrote into `folder`, with a card of one word."""
    names = [INTACT_HEIGHTS, *(name for method in ("dae", "keypoints") for name in METHODS[method].model_files)]
    files = {name: model / name for name in names}
    files |= {f"localizer/{path.name}": path for path in SHIPPED.glob("*.safetensors")}
    freeze(read_model(str(model)), files, {"name": "toy"}, "toy", folder)


def write_weights(path: Path, metadata: dict[str, Any]) -> None:
    """Weights whose header holds nothing but metadata."""
    header = json.dumps({"__metadata__": {"vertegrade": json.dumps(metadata)}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
