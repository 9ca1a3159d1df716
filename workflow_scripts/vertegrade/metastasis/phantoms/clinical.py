"""What the clinical table says of a phantom: the classes of its vertebrae, from what was drawn."""

import pandas as pd

from vertegrade.levels import NAMES
from vertegrade.metastasis.slices import phantom_label


def clinical_row(truth: pd.DataFrame) -> dict[str, str]:
    """A row of the clinical table, from a scan's LESION_TRUTH. What is too small to name has a lesion and no class."""
    classes = {}
    for row in truth.to_dict("records"):
        label = phantom_label({str(name): value for name, value in row.items()}, False)
        small = label["reason"] == "lesion_too_small"
        classes[int(row["vertebra"])] = "" if small else label["bone_class"]
    listed = {
        name: ", ".join(NAMES[label] for label, of in classes.items() if of == name.lower())
        for name in ("Blastic", "Lytic", "Mixed")
    }
    ill = ", ".join(NAMES[label] for label, of in classes.items() if of != "normal")
    return {"Case": str(truth["patient_id"].iloc[0]), "Vertebrae with Lesions": ill} | listed
