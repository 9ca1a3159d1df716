"""Settings of the cohort: which scans, in which shards and splits, with which labels."""

from .base import PlainPath, Section, section, setting


class SplitSettings(Section):
    """Patient-level splits. A split given in the sample sheet or label table wins over the hash."""

    train: float = setting(0.55, "Share of patients that models are trained on.", "fraction", gt=0, lt=1)
    validation: float = setting(
        0.20, "Share of patients for intervals and novelty. Models are never trained on them.", "fraction", gt=0, lt=1
    )
    key: str = setting(
        "vertegrade", "Key of the patient hash: another key gives another split. The patients left over are test."
    )


class CohortSettings(Section):
    """The scans to grade. With an empty sheet the embedded phantom cohort is made and graded."""

    sheet: PlainPath = setting(
        "",
        "Sample sheet (CSV): scan_id, patient_id, path[, labels, mask, centroids, split, fingerprint, points, "
        "series, months, sex, age_band]; `make index DIR=...` writes one (docs/how-to/own-data.md).",
    )
    labels: PlainPath = setting(
        "",
        "Label table (CSV or TSV: patient_id, scan_id, vertebra, genant_grade[, shape][, split]) or the VerSe'19 "
        "grade sheet (XLSX, Loeffler 2020, appendix E1). Empty: labels that the sample sheet names, or the phantoms' "
        "truth. `virtual`: grades are learned from virtual fractures in the scans that have no labels "
        "(docs/how-to/without-labels.md); real labels are still what is evaluated against.",
    )
    qc: PlainPath = setting(
        "",
        "Table (TSV or CSV: scan_id, mark, note) of scans that a person has looked at, as the page of all patients "
        "exports it. Mark `fail`: the scan is excluded (`qc_fail`). `doubt`: it gets the flag `qc_doubt`, shown with "
        "each of its grades. `pass`: nothing changes. Empty: none.",
    )
    shards: int = setting(
        4, "Number of shards. Stages that work on scans run once per shard (docs/design/scale.md).", ge=1, le=10000
    )
    splits: SplitSettings = section(SplitSettings, "How patients are split.")

    @property
    def virtual_labels(self) -> bool:
        """Whether grades are learned from virtual fractures."""
        return self.labels == "virtual"

    @property
    def label_table(self) -> str:
        """Path of the cohort's label table, "" where it has none."""
        return "" if self.virtual_labels else self.labels
