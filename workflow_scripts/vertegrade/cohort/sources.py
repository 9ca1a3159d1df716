"""The labels of a cohort, from wherever the settings and the sample sheet say they are."""

from collections.abc import Sequence
from pathlib import Path

from vertegrade.cohort.labels import LabelError, Labels, join_labels, labels_from_truth, read_label_table
from vertegrade.cohort.verse19 import read_verse19
from vertegrade.tables import PHANTOM_TRUTH, read_table


def read_labels(paths: Sequence[str]) -> Labels:
    """All labels of these files, distinguished by their suffix: .xlsx VerSe'19, .parquet phantom truth, else a table.

    LabelError where there are no files and where two of them grade one vertebra.
    """
    return join_labels([read_label_file(path) for path in paths])


def read_label_file(path: str) -> Labels:
    """The labels of one file; LabelError with all its problems."""
    suffix = Path(path).suffix.lower()
    if suffix == ".xlsx":
        return read_verse19(path)
    if suffix == ".parquet":
        try:
            return Labels(labels_from_truth(read_table(path, PHANTOM_TRUTH)), {})
        except (OSError, ValueError) as error:
            raise LabelError(f"{path}: not the truth table of phantoms ({error}); give a CSV or TSV") from error
    return read_label_table(path)
