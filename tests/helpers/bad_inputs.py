"""Planting a bad tag into a series, and reading what conversion says of it."""

from collections.abc import Callable
from typing import Any

from pydicom.dataset import Dataset

# The fixture in_shard of tests/ct/conftest.py.
InShard = Callable[..., dict[str, Any]]
Change = Callable[[Dataset, int], None]


def verdict(state: dict[str, Any]) -> tuple[str, str]:
    return state["state"], state["reason"]


def tag(name: str, value: object, at: int | None = None) -> Change:
    """A change of one tag, in slice `at` or in all; None takes the tag away."""

    def change(dataset: Dataset, index: int) -> None:
        if at is None or index == at:
            if value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)

    return change


def flags(state: dict[str, Any]) -> list[str]:
    assert state["state"] == "done", state
    return state["flags"].split()
