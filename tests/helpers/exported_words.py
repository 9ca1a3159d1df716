"""What an export says, read back from its files."""

import json
from pathlib import Path
from typing import Any

import pydicom
from highdicom.sr import srread
from pydicom.dataset import Dataset

from helpers.exported import Exported
from vertegrade.export.codes import code, code_table
from vertegrade.export.findings import Finding, Group, curves_found, findings_of

GENANT = "RDE1003"
PARTS = ("anterior", "middle", "posterior", "core")
# FHIR's one code of a number of a part -> the two that the SR has: of the number, and of the part.
OF_PART = {
    row.value: (code(name.removesuffix(f"-{part}")).value, code(part).value)
    for name, row in code_table().items()
    for part in PARTS
    if name.endswith(f"-{part}")
}
# (concept, part): value, and evaluations as (concept, value)
Said = tuple[dict[tuple[str, str], float], set[tuple[str, str]]]


def source(exported: Exported) -> Dataset:
    """The first image of the source series."""
    return pydicom.dcmread(next(Path(exported.row.path).iterdir()))


def findings(exported: Exported) -> list[Finding]:
    """What is said of vertebrae."""
    return findings_of(exported.scan, "dae", 1, str(source(exported).SeriesInstanceUID))


def curves(exported: Exported) -> list[Group]:
    """What is said of curves."""
    return curves_found(exported.scan, str(source(exported).SeriesInstanceUID))


def wanted(group: Group) -> Said:
    """What is to be said of a vertebra or curve."""
    numbers = {(code(n.concept).value, code(n.part).value if n.part else ""): n.value for n in group.numbers}
    return numbers, {(code(c.concept).value, c.value.value) for c in group.coded}


def value_of(item: Dataset) -> str:
    """A code's value, long or short."""
    return str(item.get("CodeValue") or item.get("LongCodeValue"))


def in_report(group: Any) -> Said:
    """What a measurement group of the SR says, read from its content items."""
    numbers, coded = {}, set()
    for item in group[0].ContentSequence:
        name = value_of(item.ConceptNameCodeSequence[0])
        if item.ValueType == "NUM":
            sites = [site for site in item.get("ContentSequence", []) if site.ValueType == "CODE"]
            parts = [
                value_of(part.ConceptCodeSequence[0]) for site in sites for part in site.get("ContentSequence", [])
            ]
            numbers[name, parts[0] if parts else ""] = float(item.MeasuredValueSequence[0].NumericValue)
        elif item.ValueType == "CODE" and item.RelationshipType == "CONTAINS" and name != "121071":
            coded.add((name, value_of(item.ConceptCodeSequence[0])))
    return numbers, coded


def in_bundle(observation: dict[str, Any]) -> Said:
    """What an Observation says."""
    numbers, coded = {}, set()
    for part in observation["component"]:
        names = [each["code"] for each in part["code"]["coding"]]
        if "valueQuantity" in part:
            assert len(names) == 1, names
            numbers[OF_PART.get(names[0], (names[0], ""))] = part["valueQuantity"]["value"]
        else:
            coded.add((names[0], part["valueCodeableConcept"]["coding"][0]["code"]))
    if "valueCodeableConcept" in observation:
        coded.add((GENANT, observation["valueCodeableConcept"]["coding"][0]["code"]))
    return numbers, coded


def observations(exported: Exported) -> list[dict[str, Any]]:
    """Those of the bundle: of vertebrae, then of curves."""
    bundle = json.loads((exported.folder / "fhir.json").read_text(encoding="utf-8"))
    resources = [entry["resource"] for entry in bundle["entry"]]
    return [resource for resource in resources if resource["resourceType"] == "Observation"]


def groups(exported: Exported) -> list[Any]:
    """Measurement groups of the SR that are of a segment: vertebrae."""
    return list(srread(exported.folder / "sr.dcm").content.get_volumetric_roi_measurement_groups())


def groups_of_scan(file: Path) -> list[Any]:
    """Measurement groups of an SR that are of no segment: curves, and vertebrae where there is no segmentation."""
    return list(srread(file).content.get_image_measurement_groups())
