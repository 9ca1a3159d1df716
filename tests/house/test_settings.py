"""A wrong config is refused with every problem at once, the line, and the nearest valid key."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import parse_config

from vertegrade.methods import METHODS
from vertegrade.settings.base import section_paths
from vertegrade.settings.loading import SettingsError, check_settings, check_yaml


def problems_of(text: str, tmp_path: Path) -> str:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        check_settings(yaml.safe_load(text), [str(file)])
    return str(caught.value)


def test_unknown_key_names_the_nearest_and_the_line(tmp_path: Path) -> None:
    message = problems_of("crop:\n  size: 64\n  pixel_size_mm: 1.0\n", tmp_path)
    assert "mine.yaml:3" in message
    assert "did you mean `crop.pixel_mm`?" in message


def test_key_in_the_wrong_section_is_found_elsewhere(tmp_path: Path) -> None:
    message = problems_of("run:\n  pixel_mm: 1.0\n", tmp_path)
    assert "did you mean `crop.pixel_mm` or `metastasis.slices.pixel_mm`?" in message


def test_unknown_section_names_the_nearest_section(tmp_path: Path) -> None:
    assert "did you mean `cohort`?" in problems_of("cohorts:\n  shards: 3\n", tmp_path)


def test_all_problems_at_once(tmp_path: Path) -> None:
    message = problems_of("crop:\n  size: big\n  slices: -1\ncohort:\n  shardz: 3\n", tmp_path)
    assert "3 problem(s)" in message
    assert all(f"mine.yaml:{line}" in message for line in (2, 3, 5))


@pytest.mark.parametrize("value", ["'64'", "64.5", "yes", "null", "[64]"])
def test_wrong_types_are_refused(value: str, tmp_path: Path) -> None:
    assert "`crop.size`" in problems_of(f"crop:\n  size: {value}\n", tmp_path)


def test_yaml_float_without_dot_gets_a_hint(tmp_path: Path) -> None:
    assert "write 1.0e-4" in problems_of("crop:\n  pixel_mm: 1e-4\n", tmp_path)


def test_later_file_gives_the_line(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("crop:\n  size: 64\n")
    second.write_text("# mine\ncrop:\n  size: no\n")
    with pytest.raises(SettingsError, match=r"b\.yaml:3"):
        check_settings({"crop": {"size": False}}, [str(first), str(second)])


def test_key_given_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("crop:\n  size: 64\n  size: 32\n")
    with pytest.raises(SettingsError, match=r"mine\.yaml:3: key `size` is already on line 2"):
        check_yaml([str(file)])


def test_methods_are_known_and_contain_the_main_one() -> None:
    assert check_settings({"methods": "all"}).chosen_methods == list(METHODS)
    assert check_settings({"methods": ["keypoints", "dae"]}).chosen_methods == ["dae", "keypoints"]
    for wrong, told in ((["dae", "daee"], "'daee' is no method"), (["pca"], "dae is not among them"), ("pca", "dae")):
        with pytest.raises(SettingsError, match=f"`methods` is .*{told}"):
            check_settings({"methods": wrong})


def test_section_classes_have_one_place_each() -> None:
    assert "crop" in section_paths().values()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("phantom:\n  acquisition: {min_pixel_mm: 0.9, max_pixel_mm: 0.5}\n", "min_pixel_mm (0.9) must not be above"),
        ("localize: {first_vertebra: 20, last_vertebra: 10}\n", "first_vertebra lies below"),
        ("localize: {min_gap_mm: 30.0, max_gap_mm: 20.0}\n", "min_gap_mm must be smaller"),
        ("dae:\n  counterfactual: {render_steps: 251, lowest_level: 750}\n", "render_steps (251) must be 250 or less"),
    ],
)
def test_limits_in_the_wrong_order_are_refused(text: str, told: str, tmp_path: Path) -> None:
    assert told in problems_of(text, tmp_path)


def test_key_given_twice_in_a_list_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("a:\n  - b: 1\n    b: 2\n")
    with pytest.raises(SettingsError, match=r"mine\.yaml:3: key `b` is already on line 2"):
        check_yaml([str(file)])


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize("text", [BOMB + "crop: {size: *j}\n", "crop: &a\n  size: [*a]\n"], ids=["bomb", "circle"])
def test_aliases_that_repeat_without_end_are_refused_at_once(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    check_yaml([str(tmp_path / "mine.yaml")])
    message = problems_of(text, tmp_path)
    assert "`crop.size` is [" in message
    assert len(message) < 5000


def given_on_command_line(*entries: str) -> dict[str, Any]:
    """What Snakemake makes of --config: below the first level it leaves all as text."""
    return parse_config(entries)


@pytest.mark.parametrize(
    ("entry", "key", "value"),
    [
        ("run={seed: 3}", "run.seed", 3),
        ("grading={coverage: 0.8}", "grading.coverage", 0.8),
        ("train_localizer={own_scans: true}", "train_localizer.own_scans", True),
        ("evaluation={thickness_bands_mm: [1, 2.5]}", "evaluation.thickness_bands_mm", [1.0, 2.5]),
        ("cohort={splits: {train: 0.5}}", "cohort.splits.train", 0.5),
        ("run={results: 007, device: cpu}", "run.results", "007"),
    ],
)
def test_values_of_the_command_line_are_read_as_in_a_file(entry: str, key: str, value: object) -> None:  # field test B6
    given = given_on_command_line(entry)
    found: Any = check_settings(copy.deepcopy(given), (), given)
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("run={seed: x}", "--config: `run.seed` is 'x': input should be a valid integer"),
        ("run={seed: 010}", "--config: `run.seed` is '010': .*base 8 or 60 to YAML; write it plainly"),
        ("run={sede: 3}", "--config: unknown key `run.sede`; did you mean `run.seed`"),
        ("seed=3", "--config: unknown key `seed`; .* write a block, such as --config 'run={seed: 3}'"),
    ],
)
def test_a_wrong_value_of_the_command_line_blames_no_file(
    tmp_path: Path, entry: str, told: str
) -> None:  # field test B6
    file = tmp_path / "config.yaml"
    file.write_text("run:\n  seed: 31415\n")
    given = given_on_command_line(entry)
    config = given | {"run": {"seed": 31415} | given.get("run", {})}
    with pytest.raises(SettingsError, match=told):
        check_settings(config, [str(file)], given)
