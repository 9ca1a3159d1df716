"""Severities as people read them: short, and never on the other side of a limit between grades.

The pages say that the grade is the rounded severity. 1.46 with one decimal would be 1.5, which is grade 2.
"""

import math

LIMITS = (0.5, 1.5, 2.5)  # from which on the grade is 1, 2 and 3 (grading/grade_scale.py)
MOST_DECIMALS = 2


def severity_text(severity: float, decimals: int = 1) -> str:
    """`1.4`; `1.46` where `1.5` would be of another grade; `1.49` where 1.50 would be too. "" for NaN."""
    if math.isnan(severity):
        return ""
    for places in range(decimals, MOST_DECIMALS + 1):
        text = f"{severity:.{places}f}"
        if _grade(float(text)) == _grade(severity):
            return text
    # Limits have one decimal, so only a severity below one can be rounded across it.
    steps = 10**MOST_DECIMALS
    return f"{math.floor(severity * steps) / steps:.{MOST_DECIMALS}f}"


def interval_text(low: float, high: float, between: str = " to ") -> str:
    """`0.5 to 1.5`, each end as a severity; "" where it is not known."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"{severity_text(low)}{between}{severity_text(high)}"


def _grade(severity: float) -> int:
    return sum(severity >= limit for limit in LIMITS)
