"""The labels of a cohort, from wherever the settings and the sample sheet say they are."""

from collections.abc import Sequence
from typing import Literal

from vertegrade.cohort.labels import Labels, check_patients, join_labels, read_label_table
from vertegrade.cohort.sheet import ScanRow
from vertegrade.cohort.verse19 import read_verse19

READERS = {"table": read_label_table, "verse19": read_verse19}


def cohort_labels(rows: Sequence[ScanRow], path: str, labels_format: Literal["table", "verse19"]) -> Labels:
    """All labels of a cohort: `cohort.labels` (where not empty) and the label tables that single scans name.

    rows: the sample sheet. LabelError where no source is named, where two sources grade one vertebra, and where sheet
    and labels name different patients for a scan (then splits by patient would leak).
    """
    parts = [READERS[labels_format](path)] if path else []
    parts += [read_label_table(own) for own in sorted({row.labels for row in rows if row.labels})]
    labels = join_labels(parts)
    check_patients(labels.table, rows)
    return labels
