"""Levels as people write and read them, and the regions of the breakdowns."""

import re
from typing import Any

from vertegrade.levels import LABEL_OF, NAMES, craniocaudal_rank

# A level whose probability is lower is shown as uncertain (spine/doubt.py says how the limit was set).
UNCERTAIN_LEVEL = 0.9
# Parts of the spine whose fractures differ, and the last level of each.
REGIONS = {"C1-C7": "C7", "T1-T4": "T4", "T5-T9": "T9", "T10-L2": "L2", "L3-L6": "L6"}


def is_uncertain(label_confidence: Any) -> Any:
    """Whether a level is uncertain, of one number or of an array or series; NaN (given with the scan) is certain."""
    return label_confidence < UNCERTAIN_LEVEL


def level_text(label: int, label_confidence: float) -> str:
    """The level's name for people, `about T9` where it is uncertain."""
    return f"about {NAMES[label]}" if is_uncertain(label_confidence) else NAMES[label]


def parse_level(text: str) -> int | None:
    """VerSe label of "19", "19.0", "T12", "t12", "Th12" or "D12" (dorsal); None where the text is no level."""
    name = re.sub(r"^(TH|D)(?=\d)", "T", text.strip().upper())
    if name in LABEL_OF:
        return LABEL_OF[name]
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number in NAMES else None


def region(label: int) -> str:
    """Which of REGIONS a vertebra belongs to."""
    rank = craniocaudal_rank(label)
    return next(name for name, last in REGIONS.items() if rank <= LABEL_OF[last])
