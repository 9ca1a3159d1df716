"""A frozen model: the same facts as its run, and refused by name where anything of it is not as it was."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from helpers.model_folder import ROOT, SHIPPED, write_frozen, write_json, write_model
from vertegrade.files import sha256_of
from vertegrade.frozen import (
    CARD_TEXT,
    FACTS,
    OF_ONE_RUN,
    Model,
    content_problems,
    differences,
    is_frozen,
    methods_in,
    model_problems,
    read_model,
    sight_folder,
)
from vertegrade.graders.keypoints.definition import definition_sha256
from vertegrade.methods import INTACT_HEIGHTS, METHODS
from vertegrade.model_files import ModelFileError
from vertegrade.preflight.config import read_settings
from vertegrade.preflight.start import start_problems
from vertegrade.settings import Settings

OTHER = {"crop": {"pixel_mm": 1.0}, "localize": {"min_confidence": 0.7}}


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A frozen model of a run of the config OTHER, which lies beside it as `model`."""
    write_model(tmp_path / "model", OTHER)
    heights = sha256_of(tmp_path / "model" / INTACT_HEIGHTS)
    made = {
        "dae": sha256_of(tmp_path / "model/dae/weights.safetensors"),
        "keypoints": definition_sha256("networks", heights),
    }
    for method, sha in made.items():
        path = tmp_path / f"model/grading/{method}/hyperplane.json"
        write_json(path, json.loads(path.read_text()) | {"model_sha256": sha})
    (tmp_path / "frozen").mkdir()
    write_frozen(tmp_path / "frozen", tmp_path / "model")
    return tmp_path / "frozen"


def settings_of(folder: Path, **config: object) -> tuple[Settings, list[str]]:
    """Settings and problems of a run beside a model that is given it, and this config."""
    run = {"model": str(folder), "results": str(folder.parent / "new")}
    (folder.parent / "mine.yaml").write_text(yaml.safe_dump({"run": run} | config))
    return read_settings([str(ROOT / "config.yaml"), str(folder.parent / "mine.yaml")])


def problems_of(folder: Path) -> list[str]:
    return list(content_problems(read_model(str(folder)), ["dae", "keypoints"], "networks"))


def facts_of(model: Model) -> dict[str, object]:
    values = {key: value for key, value in model.values.items() if key not in OF_ONE_RUN}
    return vars(model) | {"values": values, "folder": "", "files": {}}


def test_a_frozen_model_tells_the_same_as_its_run(frozen: Path) -> None:
    run, its = read_model(str(frozen.parent / "model")), read_model(str(frozen))
    assert facts_of(run) == facts_of(its)
    assert its.taught_by == {"scans": "people", "labels": "phantoms"}
    assert its.values["crop.pixel_mm"] == 1.0
    assert not any(key in its.values for key in OF_ONE_RUN)
    assert (is_frozen(str(frozen)), is_frozen(run.folder)) == (True, False)
    assert methods_in(str(frozen)) == ["dae", "keypoints"]


def test_a_run_taught_by_virtual_fractures_says_so(tmp_path: Path) -> None:
    write_model(tmp_path)
    manifest = tmp_path / "manifest/fit_hyperplane/dae.json"
    content = json.loads(manifest.read_text()) | {"inputs": {"results/virtual/labels/0.parquet": "0"}}
    write_json(manifest, content)
    shutil.rmtree(tmp_path / "manifest/labels")
    assert read_model(str(tmp_path)).taught_by == {"scans": "people", "labels": "virtual"}


def test_it_holds_weights_numbers_and_a_card_and_nothing_else(frozen: Path) -> None:
    files = {path.relative_to(frozen).as_posix() for path in frozen.rglob("*") if path.is_file()}
    assert files == {*read_model(str(frozen)).files, FACTS}
    assert {path.rsplit(".", 1)[1] for path in files - {CARD_TEXT}} == {"json", "safetensors"}
    assert {"localizer/sight.safetensors", "dae/weights.safetensors", "grading/keypoints/calibrator.json"} < files


def test_freezing_again_gives_the_same_bytes(frozen: Path) -> None:
    (frozen.parent / "again").mkdir()
    write_frozen(frozen.parent / "again", frozen.parent / "model")
    assert sha256_of(frozen) == sha256_of(frozen.parent / "again")


def test_a_method_with_scores_of_its_own_belongs_to_its_weights(tmp_path: Path) -> None:
    write_model(tmp_path)
    weights = tmp_path / METHODS["supervised"].weights
    for path in (weights, tmp_path / "grading/supervised/probabilities.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"x")
    for digest, problems in ((sha256_of(weights), 0), ("0" * 64, 1)):
        write_json(tmp_path / "grading/supervised/probabilities.json", {"model_sha256": digest})
        found = [*content_problems(read_model(str(tmp_path)), ["supervised"], "networks")]
        assert len(found) == problems
    assert "fitted to other weights than supervised/weights.safetensors" in found[0]
    assert methods_in(str(tmp_path)) == ["dae", "keypoints", "supervised"]
    assert any("no 'bias'" in problem for problem in model_problems(str(tmp_path), ["supervised"]))


def test_its_own_localizer_sight_and_settings_count(frozen: Path) -> None:
    settings, problems = settings_of(frozen)
    assert problems == []
    assert settings.localize.weights == f"{frozen}/localizer"
    assert (settings.crop.pixel_mm, settings.localize.min_confidence) == (1.0, 0.7)
    assert start_problems(settings, []) == []
    assert sight_folder(str(frozen), "shipped") == f"{frozen}/localizer"
    assert sight_folder(str(frozen.parent / "model"), "shipped") == sight_folder("", "shipped") == "shipped"
    (problem,) = settings_of(frozen, crop={"pixel_mm": 0.9})[1]
    assert "`crop.pixel_mm` is 0.9, but the model" in problem


def test_a_sound_model_has_no_problem_and_nothing_to_note(frozen: Path) -> None:
    assert problems_of(frozen) == []
    assert differences(read_model(str(frozen))) == []


@pytest.mark.parametrize("name", ["dae/weights.safetensors", "localizer/sight.safetensors", CARD_TEXT])
def test_a_file_that_was_altered_or_removed_is_named(name: str, frozen: Path) -> None:
    with (frozen / name).open("ab") as file:
        file.write(b"x")
    assert any(
        problem.startswith(f"{frozen / name} was altered: its SHA-256 is ") and problem.endswith("freeze its run again")
        for problem in problems_of(frozen)
    )
    (frozen / name).write_bytes((frozen / name).read_bytes()[:-1])
    assert problems_of(frozen) == []
    (frozen / name).rename(frozen.parent / "gone")
    if name.startswith("dae"):
        return  # its graders cannot be compared with it either
    (problem,) = problems_of(frozen)
    assert problem.startswith(f"{frozen / name} is not there, but model.json names it; copy the whole folder again, or")


def test_a_model_copied_into_another_is_refused_in_one_line(frozen: Path) -> None:
    """As `cp -r new models/mine` does where models/mine exists: the old model would grade without a word."""
    shutil.copytree(frozen, frozen / "new")
    (frozen / "dae/notes.txt").write_text("x")
    (frozen / ".snakemake_timestamp").touch()
    (problem,) = problems_of(frozen)
    assert problem.startswith(f"{frozen} also contains dae/notes.txt, new, which model.json does not name: was another")
    shutil.rmtree(frozen / "new")
    (frozen / "dae/notes.txt").unlink()
    assert problems_of(frozen) == []


def rewrite(frozen: Path, **facts: object) -> None:
    write_json(frozen / FACTS, json.loads((frozen / FACTS).read_text()) | facts)


def test_facts_of_another_version_are_refused(frozen: Path) -> None:
    facts = json.loads((frozen / FACTS).read_text())
    rewrite(frozen, format="vertegrade-model-0")
    (problem,) = settings_of(frozen)[1]
    assert problem == (
        f"run.model = {frozen}: model.json has the format 'vertegrade-model-0', this version reads "
        "'vertegrade-model-1'; use the version of Vertegrade that froze it, or freeze its run again with this one"
    )
    rewrite(frozen, format=facts["format"], values=facts["values"] | {"crop.twist": 1})
    assert "made by another version, this version does not know its crop.twist" in settings_of(frozen)[1][0]
    rewrite(frozen, values={key: value for key, value in facts["values"].items() if key != "crop.slices"})
    assert "made by another version, it does not know crop.slices" in settings_of(frozen)[1][0]
    rewrite(frozen, values=facts["values"], strange=1)
    assert "as those of another version" in settings_of(frozen)[1][0]
    (frozen / FACTS).write_text("{")
    assert "model.json, or its header, is damaged" in settings_of(frozen)[1][0]


def test_a_model_that_would_be_refused_is_not_frozen(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    calibrator = tmp_path / "model/grading/dae/calibrator.json"
    write_json(calibrator, {"chosen": "linear"})
    (tmp_path / "frozen").mkdir()
    with pytest.raises(ModelFileError, match=r"calibrator\.json: no 'calibrators'"):
        write_frozen(tmp_path / "frozen", tmp_path / "model")
    own = tmp_path / "own"
    own.mkdir()
    for path in SHIPPED.glob("*.safetensors"):
        (own / path.name).write_bytes(path.read_bytes() + b"x")
    write_model(tmp_path / "model", networks=own)
    with pytest.raises(ModelFileError, match="found by other networks than those; localize again"):
        write_frozen(tmp_path / "frozen", tmp_path / "model")


def test_other_code_and_packages_are_noted(frozen: Path) -> None:
    facts = json.loads((frozen / FACTS).read_text())
    rewrite(frozen, code={"localize": "0"}, packages=facts["packages"] | {"scipy": "0.1"})
    (note,) = differences(read_model(str(frozen)))
    assert note.startswith("the model was made with other code of localize and scipy 0.1 (here 1.")


def test_a_clone_without_a_grader_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("run: {model: shipped}\n")
    settings, problems = read_settings([str(ROOT / "config.yaml"), str(tmp_path / "mine.yaml")])
    if is_frozen(str(ROOT / "models/grader")):
        assert (problems, settings.run.model) == ([], "models/grader")
    else:
        (problem,) = problems
        assert problem.startswith("run.model = shipped: this clone has no grader that ships (")
        assert "make one by `snakemake freeze` in a finished run and copy its folder `frozen` to" in problem
        assert start_problems(settings, []) == []  # said once
