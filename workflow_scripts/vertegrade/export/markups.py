"""The six points of each vertebra as a point list of 3D Slicer (`.mrk.json`), in LPS."""

from typing import Any

from vertegrade.export.bodies import LPS_RAS
from vertegrade.export.findings import Finding
from vertegrade.tables import POINTS

# Slicer: Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json
SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
DECIMALS = 4


def markups_of(findings: list[Finding]) -> dict[str, Any]:
    """One list of all points, labelled by level and point (`L1 anterior superior`), from head to feet."""
    points = [
        {
            "id": f"{finding.level}-{name}",
            "label": f"{finding.level} {name.replace('_', ' ')}",
            "description": "RESEARCH USE ONLY",
            "associatedNodeID": "",
            "position": [round(float(value), DECIMALS) for value in place],
            "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
            "selected": True,
            "locked": True,
            "visibility": True,
            "positionStatus": "defined",
        }
        for finding in findings
        if finding.points_mm is not None
        for name, place in zip(POINTS, finding.points_mm * LPS_RAS, strict=True)
    ]
    listed = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "controlPoints": points,
    }
    return {"@schema": SCHEMA, "markups": [listed]}
