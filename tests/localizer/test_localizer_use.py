"""Localization imports nothing that only training needs: another sample or augmentation re-localizes no scan."""

import re

from vertegrade.workflow.code_hash import code_digests

TRAINING_ONLY = re.compile(
    r"vertegrade/(training|phantom)/|vertegrade/localizer/.*(sample|augment|loss|train|own_scan)"
)


def code(script: str) -> set[str]:
    return {path for path in code_digests(script) if not path.endswith("__init__.py")}


def training_only(script: str) -> set[str]:
    return set(filter(TRAINING_ONLY.match, code(script)))


def test_localization_depends_on_no_training() -> None:
    assert training_only("localize") == set()


def test_the_names_of_these_modules_say_that_they_are_for_training() -> None:
    added = {path for path in code("train_localizer") - code("localize") if "/localizer/" in path}
    assert added <= training_only("train_localizer")
    names = {path.rsplit("/", 1)[1] for path in added}
    assert names >= {"samples.py", "loss.py", "own_scans.py", "image_augmentation.py", "augmentation.py"}
