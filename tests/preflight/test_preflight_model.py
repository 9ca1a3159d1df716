"""A given model: its own settings apply; what is given otherwise and what it does not tell is refused by name."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.model_folder import ROOT, write_json, write_model, write_weights
from vertegrade.files import sha256_of
from vertegrade.frozen import DAE_WEIGHTS, OF_ONE_RUN, read_model
from vertegrade.graders.keypoints.definition import definition_sha256
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.novelty import Novelty
from vertegrade.methods import INTACT_HEIGHTS, STEPS
from vertegrade.model_files import CALIBRATION_KEYS, DAE_FORMAT, HYPERPLANE_KEYS, NOVELTY_KEYS
from vertegrade.preflight.config import read_settings
from vertegrade.preflight.model import FREE
from vertegrade.preflight.start import misfits, start_problems
from vertegrade.settings import Settings
from vertegrade.settings.base import dotted, nested
from vertegrade.settings.loading import check_settings

# As presets/dae64.yaml and a little more: other crops, another window, another localizer's line, grades from 2 on.
OTHER = {
    "crop": {"pixel_mm": 1.0, "slice_spacing_mm": 3.0},
    "dae": {"model": {"hu_low": -1000.0, "hu_high": 1000.0, "z_dim": 512}},
    "localize": {"centreline": {"smoothing_mm": 50.0}, "min_confidence": 0.7},
    "grading": {"fracture_grade": 2, "coverage": 0.8},
}


def settings_of(folder: Path, config: dict[str, Any] | None = None) -> tuple[Settings, list[str]]:
    """Settings and problems of a run in `folder` that is given the model beside it and this config."""
    config = {"run": {"model": str(folder / "model"), "results": str(folder / "new")}} | (config or {})
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    return read_settings([str(ROOT / "config.yaml"), str(folder / "mine.yaml")])


def test_the_models_own_settings_apply_where_the_run_gives_none(tmp_path: Path) -> None:  # field test A2
    model = write_model(tmp_path / "model", OTHER)
    settings, problems = settings_of(tmp_path)
    assert problems == []
    assert (settings.crop, settings.dae.model, settings.grading) == (model.crop, model.dae.model, model.grading)
    assert settings.localize == model.localize
    assert start_problems(settings, []) == []


def test_what_decides_only_whether_a_vertebra_is_graded_may_be_given(tmp_path: Path) -> None:
    write_model(tmp_path / "model", OTHER)
    settings, problems = settings_of(tmp_path, {"localize": {"min_confidence": 0.5, "first_vertebra": 11}})
    assert problems == []
    assert (settings.localize.min_confidence, settings.localize.first_vertebra) == (0.5, 11)
    assert settings.localize.centreline.smoothing_mm == 50.0


FACTS = sorted(
    key
    for key in dotted(Settings().model_dump())
    if key.startswith(("crop.", "localize.", "dae.model.", "grading.")) and not key.startswith("grading.pca.")
)


@pytest.mark.parametrize("key", sorted(set(FACTS) - FREE - OF_ONE_RUN))
def test_every_fact_of_the_model_is_compared_with_what_the_run_gives(key: str, tmp_path: Path) -> None:  # field test A2
    write_model(tmp_path / "model")
    its = dotted(Settings().model_dump())[key]
    others = {"crop.slices": 7, "localize.method": "provided", "grading.classifier": "svm", "grading.coverage": 0.8}
    others |= {"grading.fracture_grade": 2, "grading.calibration": "linear", "dae.model.slab_mean": False}
    others |= {"dae.model.position": False, "dae.model.z_map": False, "dae.model.encoder_pool": "mean"}
    others |= {"dae.model.schedule": "cosine", "dae.model.prediction": "v", "localize.centreline.min_probability": 0.6}
    others |= {"dae.model.attention_resolutions": [16], "dae.model.multipliers": [1, 3], "dae.model.dropout": 0.1}
    others |= {"dae.model.encoder_multipliers": [1, 2], "dae.model.hu_low": -100.0}
    other = others[key] if key in others else its * 2
    (tmp_path / "given").mkdir()
    shutil.move(tmp_path / "model", tmp_path / "given/model")
    _, problems = settings_of(tmp_path / "given", nested({key: other}))
    (problem,) = problems
    assert re.match(rf"{tmp_path}/given/mine.yaml:\d+: `{key}` is ", problem)
    assert (
        f"`{key}` is {other!r}, but the model {tmp_path}/given/model was made with {its!r}; leave the key out"
        in problem
    )


def test_a_given_default_that_is_not_the_models_is_refused_and_the_models_value_is_not(tmp_path: Path) -> None:
    write_model(tmp_path / "model", OTHER)
    assert "`crop.pixel_mm` is 0.75, but the model" in settings_of(tmp_path, {"crop": {"pixel_mm": 0.75}})[1][0]
    assert settings_of(tmp_path, {"crop": {"pixel_mm": 1.0}})[1] == []


def test_a_changed_config_yaml_counts_as_given(tmp_path: Path) -> None:
    from vertegrade.settings.loading import where_given

    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert where_given(config, [str(ROOT / "config.yaml")], {}, ROOT / "config.yaml") == {}
    config["crop"]["pixel_mm"] = 0.8
    more = {"run": {"seed": 31415}}
    given = where_given(config, [str(ROOT / "config.yaml")], more, ROOT / "config.yaml")
    assert given == {"crop.pixel_mm": str(ROOT / "config.yaml"), "run.seed": "--config"}


def test_the_localizers_weights_are_compared_by_content(tmp_path: Path) -> None:  # field test A2
    own = tmp_path / "own"
    own.mkdir()
    for name in ("centreline", "vertebrae"):
        (own / f"{name}.safetensors").write_bytes(name.encode())
    write_model(tmp_path / "model", {"localize": {"weights": "gone"}}, networks=own)
    (problem,) = settings_of(tmp_path)[1]
    assert "found by other weights of the localizer than those of" in problem
    assert "set localize.weights to the folder that has the model's (SHA-256: centreline.safetensors" in problem
    assert settings_of(tmp_path, {"localize": {"weights": str(own)}})[1] == []
    shutil.copytree(own, tmp_path / "model/localizer")  # as where the model's run trained them
    settings, problems = settings_of(tmp_path)
    assert (problems, settings.localize.weights) == ([], f"{tmp_path}/model/localizer")
    (own / "vertebrae.safetensors").write_bytes(b"other")
    (problem,) = settings_of(tmp_path, {"localize": {"weights": str(own)}})[1]
    assert problem.startswith(f"{tmp_path}/mine.yaml:2: the model's vertebrae were found by other weights")


def test_a_model_that_does_not_tell_how_it_was_made_gives_one_sentence(tmp_path: Path) -> None:  # field test A2
    model = tmp_path / "model"

    def sentence() -> str:
        (problem,) = settings_of(tmp_path)[1]
        assert "\n" not in problem
        return problem

    assert (
        "neither model.json nor dae/weights.safetensors is in it; name a frozen model, or the results folder of a"
        in sentence()
    )
    write_model(model)
    shutil.rmtree(model / "manifest/localize")
    assert "manifest/localize is not in it, so it does not say how the model was made; give the whole" in sentence()
    write_model(model)
    write_weights(model / DAE_WEIGHTS, {"format": DAE_FORMAT, "model": "{}", "facts": {}})
    assert "does not say what crops it was trained on; train the model again with this version" in sentence()
    crop = json.dumps(Settings().crop.model_dump() | {"pixel_mm": 0.75})
    write_weights(model / DAE_WEIGHTS, {"format": DAE_FORMAT, "model": "{}", "facts": {"crop": crop}})
    assert "made by another version, it does not know dae.model.attention_resolutions" in sentence()
    write_weights(model / DAE_WEIGHTS, {"format": DAE_FORMAT, "model": "{}", "facts": {"crop": "{"}})
    assert "dae/weights.safetensors, or its header, is damaged (Expecting" in sentence()
    write_weights(model / DAE_WEIGHTS, {"format": "vertegrade-dae-0"})
    assert "has the format 'vertegrade-dae-0', needed 'vertegrade-dae-1'" in sentence()
    (model / "dae/weights.safetensors").write_bytes(b"short")
    assert "not a readable safetensors file; copy it again" in sentence()
    write_model(model)
    write_json(model / "manifest/calibrate/dae.json", {"inputs": {}, "params": {"settings": {}}})
    assert "its files lack 'grading.calibration', as those of another version" in sentence()


def test_a_model_that_lacks_a_key_of_this_version_is_told_before_the_run(tmp_path: Path) -> None:  # field test B8
    write_model(tmp_path / "model")
    calibrator = tmp_path / "model/grading/dae/calibrator.json"
    numbers = json.loads(calibrator.read_text())
    del numbers["scale"]
    write_json(calibrator, numbers | {"limits": 1})
    settings, problems = settings_of(tmp_path)
    assert problems == []
    (problem,) = start_problems(settings, [])
    assert problem == (
        f"{calibrator}: no 'scale', 'limits' too much: another version wrote it; train the model again with this one"
    )
    calibrator.write_text("{")
    assert "is damaged; copy it again" in start_problems(settings, [])[0]
    calibrator.unlink()
    assert "is not there, or may not be read" in start_problems(settings, [])[0]


def test_a_model_without_novelty_is_told_before_the_run(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    novelty = tmp_path / "model/grading/dae/novelty.json"
    novelty.unlink()
    settings, _ = settings_of(tmp_path)
    (problem,) = start_problems(settings, [])
    assert problem.startswith(f"{novelty} is not there, or may not be read; name a frozen model")


@pytest.mark.parametrize("novel", ["auto", "withhold", "flag"])
def test_what_happens_to_unlike_vertebrae_belongs_to_the_run(novel: str, tmp_path: Path) -> None:
    write_model(tmp_path / "model", {"grading": {"novel": "flag"}})
    settings, problems = settings_of(tmp_path, {"grading": {"novel": novel}})
    assert (problems, settings.grading.novel) == ([], novel)


def test_graders_of_other_weights_or_indices_are_told_before_the_run(tmp_path: Path) -> None:
    model = tmp_path / "model"
    write_model(model)
    heights = sha256_of(model / INTACT_HEIGHTS)
    made = {
        "dae": sha256_of(model / "dae/weights.safetensors"),
        "keypoints": definition_sha256("networks", heights),
    }
    planes = {method: model / f"grading/{method}/hyperplane.json" for method in made}
    for method, sha in made.items():
        write_json(planes[method], {"model_sha256": sha})
    settings, _ = settings_of(tmp_path)
    assert misfits(settings, []) == []
    write_json(planes["keypoints"], {"model_sha256": definition_sha256("masks", heights)})
    with (model / "dae/weights.safetensors").open("ab") as file:
        file.write(b"more")
    dae, steps, keypoints = misfits(settings, [])
    assert dae.startswith(f"{planes['dae']}: fitted to other weights than dae/weights.safetensors")
    assert steps.startswith(f"{model / STEPS}: learned from other weights than dae/weights.safetensors")
    assert keypoints.startswith(f"{planes['keypoints']}: fitted to other indices than this version takes")
    shutil.rmtree(model / "grading/keypoints")
    assert misfits(settings, []) == [dae, steps]


def test_the_keys_of_a_models_files_are_those_that_its_classes_write() -> None:
    written = {Hyperplane: HYPERPLANE_KEYS, Calibration: CALIBRATION_KEYS, Novelty: NOVELTY_KEYS}
    for kind, keys in written.items():
        assert {field.name for field in dataclasses.fields(kind)} == keys


def test_weights_of_the_localizer_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "centreline.safetensors").touch()
    settings = check_settings({"localize": {"weights": str(tmp_path)}})
    assert start_problems(settings, []) == [
        f"localize.weights = {tmp_path}: vertebrae.safetensors is not in it; name the folder of a finished training"
    ]
    run = {"results": str(tmp_path / "new")}
    trained_in_this_run = check_settings({"localize": {"weights": str(tmp_path / "new/localizer")}, "run": run})
    assert start_problems(trained_in_this_run, []) == []


def test_a_model_that_others_localized_tells_no_networks(tmp_path: Path) -> None:
    write_model(tmp_path / "model", {"localize": {"method": "provided"}})
    assert read_model(str(tmp_path / "model")).networks == {}
    settings, problems = settings_of(tmp_path, {"localize": {"centreline": {"smoothing_mm": 50.0}}})
    assert problems == []  # no network looks for a line
    assert settings.localize.method == "provided"
