"""The changes for people and spreadsheets: levels by name, empty cells for what is unknown."""

import pandas as pd

from vertegrade.follow_up.tables import FOLLOW_UP_TABLE
from vertegrade.levels import NAMES
from vertegrade.tables import check_table

NOTICE = "not a medical device"


def table_for_people(changes: pd.DataFrame) -> pd.DataFrame:
    """FOLLOW_UP_TABLE of FOLLOW_UP, in its order."""
    table = changes.assign(research_use_only=NOTICE)
    for of in ("before", "after"):
        table[f"level_{of}"] = table[f"vertebra_{of}"].map(NAMES).astype(str)
        grades = table[f"grade_{of}"].astype("Int64")
        table[f"grade_{of}"] = grades.mask(grades < 0)
    return check_table(table[list(FOLLOW_UP_TABLE.columns)], FOLLOW_UP_TABLE, "table of changes")
