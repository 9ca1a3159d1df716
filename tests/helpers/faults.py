"""Planting faults into the processes that a test starts."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

PLANTED = Path(__file__).with_name("planted_faults")


@dataclass(frozen=True)
class Fault:
    """What happens when a file whose path matches the pattern gets its name; see planted_faults/sitecustomize.py."""

    file: str
    do: str
    times: int = 1
    amount: float = 0


class Plan:
    """A plan of faults, and what became of it."""

    def __init__(self, folder: Path, *faults: Fault) -> None:
        self.file = folder / "faults.json"
        self.file.write_text(json.dumps([asdict(fault) for fault in faults]))
        self.faults = faults

    @property
    def environment(self) -> dict[str, str]:
        """Variables that plant the faults into every Python that inherits them."""
        paths = [str(PLANTED), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {"PYTHONPATH": os.pathsep.join(paths), "VERTEGRADE_FAULTS": str(self.file)}

    def happened(self, number: int = 0) -> int:
        """How often a fault has happened."""
        return len(list(self.file.parent.glob(f"{self.file.name}.{number}.*")))

    def all_happened(self) -> bool:
        """True when each fault has happened as often as it should."""
        return all(self.happened(number) == fault.times for number, fault in enumerate(self.faults))

    def go(self) -> None:
        """Let the processes that wait go on."""
        self.file.with_name(f"{self.file.name}.go").touch()
