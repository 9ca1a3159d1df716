"""What the results are as a data set: `dataset_description.json`, in the manner of a BIDS derivative."""

import importlib.metadata
from typing import Any

BIDS_VERSION = "1.10.0"


def dataset_description(patients: int, phantoms: bool, model: bool) -> dict[str, Any]:
    """Fields of BIDS 1.10 (Modality agnostic files: derived datasets), and what none of its fields can say.

    No path stands in it: the folders of sources may name people. model: whether the run was given one.
    """
    version = importlib.metadata.version("vertegrade")
    graded = "by a model that was given" if model else "by a model that this run trained"
    shown = "digital spine phantoms" if phantoms else "CT of people"
    return {
        "Name": "Genant grades of vertebral fractures on CT",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "Vertegrade",
                "Version": version,
                "Description": f"{patients} patient(s), {shown}, graded {graded}. manifest/ has code, settings and "
                "hashes of each job.",
            }
        ],
        "HowToAcknowledge": "Cite the software by its CITATION.cff, and the papers that it names for each method.",
        "ResearchUseOnly": "Not a medical device.",
        "Phantoms": phantoms,
        "Columns": "docs/reference/columns.json of the software describes every column of the tables, with its unit.",
        "Records": "patients/PATIENT.json, by docs/reference/patient.schema.json of the software.",
    }
