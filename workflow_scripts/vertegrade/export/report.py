"""A DICOM structured report by template TID 1500: one measurement group per vertebra."""

from typing import Any

from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.sr.codedict import codes

from vertegrade.export.about import NAME, NOTICE, Maker, coding_schemes, concept, dated, series_of
from vertegrade.export.codes import code
from vertegrade.export.findings import Coded, Finding, Number, uid_of
from vertegrade.export.source import Source


def report_of(
    findings: list[Finding], source: Source, maker: Maker, bodies: tuple[Segmentation, dict[str, int]] | None
) -> Comprehensive3DSR:
    """The report. bodies: the segmentation that groups refer to, and the segment of each level; None without one.

    It has no image library (optional in TID 1500), which would repeat the header of each slice and take half a minute.
    The slices stand in its evidence.
    """
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device,
                observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                    uid=uid_of("vertegrade/device", maker.version),
                    name=f"{NAME} ({NOTICE})",
                    manufacturer_name=NAME,
                    model_name=NAME,
                    serial_number=maker.version,
                ),
            )
        ),
        procedure_reported=concept(code("ct")),
        imaging_measurements=[_group(finding, source, maker, bodies) for finding in findings],
        title=concept(code("report")),
    )
    dataset = Comprehensive3DSR(
        evidence=[*source.images, *([bodies[0]] if bodies else [])],
        content=report[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=coding_schemes(),
        **series_of("sr", source.first, maker),
    )
    return dated(dataset, maker)


def _group(finding: Finding, source: Source, maker: Maker, bodies: tuple[Segmentation, dict[str, int]] | None) -> Any:
    site = concept(finding.site)
    shared = {
        "tracking_identifier": TrackingIdentifier(uid=finding.tracking_uid, identifier=finding.tracking_id),
        "finding_type": concept(code("assessment")),
        "algorithm_id": AlgorithmIdentification(NAME, maker.version, parameters=maker.parameters),
        "finding_sites": [FindingSite(anatomic_location=site)],
        "measurements": [_measurement(number, site) for number in finding.numbers],
        "qualitative_evaluations": [_evaluation(coded) for coded in finding.coded],
    }
    if bodies is None or finding.level not in bodies[1]:
        return MeasurementsAndQualitativeEvaluations(**shared)
    segment = ReferencedSegment(
        sop_class_uid=bodies[0].SOPClassUID,
        sop_instance_uid=bodies[0].SOPInstanceUID,
        segment_number=bodies[1][finding.level],
        source_series=SourceSeriesForSegmentation(source.first.SeriesInstanceUID),
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **shared)


def _measurement(number: Number, site: CodedConcept) -> Measurement:
    """A number; where it is of one height, its site is the vertebra with that part of it as its modifier."""
    sites = [FindingSite(site, topographical_modifier=concept(code(number.column)))] if number.column else None
    return Measurement(
        name=concept(code(number.concept)), value=number.value, unit=concept(code(number.unit)), finding_sites=sites
    )


def _evaluation(coded: Coded) -> QualitativeEvaluation:
    return QualitativeEvaluation(name=concept(code(coded.concept)), value=concept(coded.value))
