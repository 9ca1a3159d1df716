"""What the five papers report in their own text, for the table of the comparison: OTHER DATA, never comparable.

Each figure was read in the paper's abstract or text. Keicher et al. 2023 (the DAE) print figures of vertebral fractures
that could not be read here, so that they have no row.
"""

from typing import Any

from vertegrade.evaluation.comparison.tables import NOT_SAID, OTHER_DATA, PATIENTS, VERTEBRAE

CHETTRIT = "Chettrit et al. 2020, MICCAI, LNCS pp. 743-752: their own data"
WEI = "Wei et al. 2022, BIBM pp. 848-853: their own data"
PISOV = "Pisov et al. 2020, MICCAI, LNCS 12266: their own data"
ZAKHAROV = 'Zakharov et al. 2022, Med Image Anal 83:102646: their own data; "up to" this value'
ZAKHAROV_VERSE = "Zakharov et al. 2022, Med Image Anal 83:102646: VerSe; the abstract does not say of what unit"
PENG = "Peng et al. 2019, MLMI: bone quality in metastasis, not fractures; gain over DenseNet-121"

# System, unit, figure, value, source.
PUBLISHED = (
    ("Chettrit 2020", PATIENTS, "auc", 0.955, CHETTRIT),
    ("Wei 2022", VERTEBRAE, "sensitivity", 0.85, WEI),
    ("Wei 2022", VERTEBRAE, "specificity", 0.99, WEI),
    ("Wei 2022", VERTEBRAE, "macro_f1", 0.77, WEI),
    ("Pisov 2020", PATIENTS, "auc", 0.93, PISOV),
    ("Zakharov 2022", PATIENTS, "auc", 0.96, ZAKHAROV),
    ("Zakharov 2022, VerSe", NOT_SAID, "auc", 0.95, ZAKHAROV_VERSE),
    ("Zakharov 2022, VerSe", NOT_SAID, "sensitivity", 0.85, ZAKHAROV_VERSE),
    ("Zakharov 2022, VerSe", NOT_SAID, "specificity", 0.90, ZAKHAROV_VERSE),
    ("Peng 2019", VERTEBRAE, "sensitivity_gain_blastic", 0.1233, PENG),
    ("Peng 2019", VERTEBRAE, "sensitivity_gain_mixed", 0.2321, PENG),
    ("Peng 2019", VERTEBRAE, "sensitivity_gain_lytic", 0.3425, PENG),
)


def published_rows() -> list[dict[str, Any]]:
    """Rows of COMPARISON of the papers' figures; intervals and counts are not theirs to be had."""
    unknown = dict.fromkeys(("low", "high", "delong_low", "delong_high"))
    return [
        {"data": OTHER_DATA, "method": system, "minus": "", "unit": unit, "figure": figure, "value": value}
        | {**unknown, "n": 0, "patients": 0, "source": source}
        for system, unit, figure, value, source in PUBLISHED
    ]
