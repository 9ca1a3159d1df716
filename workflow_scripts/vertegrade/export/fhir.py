"""The same findings as a FHIR R4 bundle: patient, study, the algorithm as a device, and observations.

There is one observation per vertebra, and one per curve of the spine.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset

from vertegrade.export.about import NAME, NOTICE, Maker
from vertegrade.export.codes import SYSTEMS, CodeRow, code
from vertegrade.export.findings import Coded, Finding, Group, Number, uid_of
from vertegrade.export.source import Source
from vertegrade.export.times import study_moment

GENDERS = {"M": "male", "F": "female", "O": "other"}
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
TRACKING = "urn:dicom:uid"
# Kinds of UniversalEntityID that are URIs, and what FHIR writes before them.
ENTITIES = {"ISO": "urn:oid:", "UUID": "urn:uuid:", "URI": ""}


def bundle_of(groups: Sequence[Group], source: Source, maker: Maker) -> dict[str, Any]:
    """A Bundle of type `collection`, as plain values for JSON (hl7.org/fhir/R4/bundle.html)."""
    first = source.first
    names = {kind: _urn(kind, first.SeriesInstanceUID) for kind in ("patient", "study", "device")}
    began = _began("effectiveDateTime", first)
    resources = [
        (names["patient"], _patient(first)),
        (names["study"], _study(first, names) | _began("started", first)),
        (names["device"], _device(maker)),
        *((_urn("observation", group.tracking_uid), _observation(group, names, maker) | began) for group in groups),
    ]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": _instant(maker),
        "meta": {"tag": [{"system": SYSTEMS["99VERTEGRADE"], "code": "research-use-only", "display": NOTICE}]},
        "entry": [{"fullUrl": name, "resource": resource} for name, resource in resources],
    }


def _urn(*parts: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, uid_of('vertegrade/fhir', *parts))}"


def _instant(maker: Maker) -> str:
    return maker.made.isoformat(timespec="seconds")


def _began(name: str, first: Dataset) -> dict[str, str]:
    """When the study began, under this name; nothing where the source does not say it."""
    moment = study_moment(first)
    return {name: moment} if moment else {}


def _patient(first: Dataset) -> dict[str, Any]:
    """The patient as the source names it; without what it leaves empty."""
    resource: dict[str, Any] = {"resourceType": "Patient"}
    if first.PatientID:
        resource["identifier"] = [_identifier(first)]
    written = next(filter(None, str(first.PatientName).split("=")), "")  # in Latin letters, or else as it is written
    family, given = [*written.split("^"), ""][:2]
    name: dict[str, Any] = {"family": family} if family else {}
    name |= {"given": [given]} if given else {}
    if name:
        resource["name"] = [name]
    if first.PatientSex in GENDERS:
        resource["gender"] = GENDERS[first.PatientSex]
    born = str(first.PatientBirthDate or "")
    if born:
        resource["birthDate"] = f"{born[:4]}-{born[4:6]}-{born[6:8]}"
    return resource


def _identifier(first: Dataset) -> dict[str, Any]:
    """The patient's number and, where the source says it, who gave it."""
    issuer, qualifiers = first.get("IssuerOfPatientID"), first.get("IssuerOfPatientIDQualifiersSequence")
    found: dict[str, Any] = {"value": str(first.PatientID)}
    if qualifiers:
        kind, entity = (str(qualifiers[0].get(f"UniversalEntityID{end}") or "") for end in ("Type", ""))
        if entity and kind in ENTITIES:
            found["system"] = ENTITIES[kind] + entity
    if issuer:
        found["assigner"] = {"display": str(issuer)}
    return found


def _study(first: Dataset, names: dict[str, str]) -> dict[str, Any]:
    return {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": TRACKING, "value": f"urn:oid:{first.StudyInstanceUID}"}],
        "status": "available",
        "subject": {"reference": names["patient"]},
        "series": [
            {
                "uid": str(first.SeriesInstanceUID),
                "modality": {"system": SYSTEMS["DCM"], "code": "CT", "display": "Computed Tomography"},
            }
        ],
    }


def _device(maker: Maker) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "deviceName": [{"name": NAME, "type": "model-name"}],
        "version": [{"value": maker.version}],
        "property": [
            {"type": {"text": name}, "valueCode": [{"text": value}]}
            for name, value in (parameter.split("=", 1) for parameter in maker.parameters)
        ],
        "note": [{"text": f"{NOTICE}."}],
    }


def _observation(group: Group, names: dict[str, str], maker: Maker) -> dict[str, Any]:
    """The Genant grade of a vertebra, or that it is not evaluable; all other numbers and codes as components."""
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "identifier": [{"system": TRACKING, "value": f"urn:oid:{group.tracking_uid}"}],
        "status": "preliminary",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}]}
        ],
        "code": _concept(code(group.topic)),
        "subject": {"reference": names["patient"]},
        "issued": _instant(maker),
        "device": {"reference": names["device"]},
        "derivedFrom": [{"reference": names["study"]}],
        "bodySite": _concept(group.site),
        "note": [{"text": f"{NOTICE}."}],
    }
    grades = [coded for coded in group.coded if coded.concept == "genant"]
    if grades:
        resource["valueCodeableConcept"] = _concept(grades[0].value)
    elif isinstance(group, Finding):
        unknown = {"system": ABSENT, "code": "unknown", "display": "Unknown"}
        resource["dataAbsentReason"] = {"coding": [unknown], "text": code("not-evaluable").meaning}
    others = [coded for coded in group.coded if coded.concept != "genant"]
    resource["component"] = [*map(_component, others), *map(_quantity, group.numbers)]
    return resource


def _component(coded: Coded) -> dict[str, Any]:
    return {"code": _concept(code(coded.concept)), "valueCodeableConcept": _concept(coded.value)}


def _quantity(number: Number) -> dict[str, Any]:
    """A number. One of a part of the body has a code of its own: codings beside each other would mean the same."""
    unit = code(number.unit)
    about = code(f"{number.concept}-{number.part}" if number.part else number.concept)
    value = {"value": number.value, "unit": unit.meaning, "system": SYSTEMS["UCUM"], "code": unit.value}
    return {"code": _concept(about), "valueQuantity": value}


def _concept(row: CodeRow) -> dict[str, Any]:
    return {"coding": [_coding(row)], "text": row.meaning}


def _coding(row: CodeRow) -> dict[str, str]:
    return {"system": SYSTEMS[row.scheme], "code": row.value, "display": row.meaning}
