"""Columns that tables are made of (tables.py, drawn_tables.py)."""

from typing import Any

import pandera.pandas as pa

IDENTIFIER = r"^[A-Za-z0-9-]+$"


def text(pattern: str | None = None, **options: Any) -> pa.Column:
    """Text, of a pattern where one is given."""
    return pa.Column(str, pa.Check.str_matches(pattern) if pattern else None, **options)


def number(low: float | None = None, high: float | None = None, **options: Any) -> pa.Column:
    """A number between limits, which belong to it; NaN only where `nullable`."""
    checks = [pa.Check.ge(low)] if low is not None else []
    checks += [pa.Check.le(high)] if high is not None else []
    return pa.Column(float, checks or None, **options)


def whole(values: list[int] | None = None, **options: Any) -> pa.Column:
    """A whole number, one of some values where they are given."""
    return pa.Column(int, pa.Check.isin(values) if values else None, **options)


def contract(columns: dict[str, pa.Column], unique: list[str] | None = None, strict: bool = True) -> pa.DataFrameSchema:
    """A table of these columns in this order. unique: columns of which no two rows have the same values."""
    return pa.DataFrameSchema(columns, strict=strict, coerce=True, ordered=True, unique=unique)


SCAN = {"patient_id": text(IDENTIFIER), "scan_id": text(IDENTIFIER)}
VERTEBRA = SCAN | {"vertebra": whole([*range(1, 26), 28])}
EVALUABLE = {"evaluable": pa.Column(bool), "reason": text()}
