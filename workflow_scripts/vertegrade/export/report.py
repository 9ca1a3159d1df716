"""A DICOM structured report by template TID 1500: one measurement group per vertebra, and per curve of the spine."""

from collections.abc import Sequence
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

from vertegrade.export.about import NAME, NOTICE, Maker, coding_schemes, concept, series_of
from vertegrade.export.codes import code
from vertegrade.export.findings import Coded, Finding, Group, Number, uid_of
from vertegrade.export.finish import finish
from vertegrade.export.source import Source


def report_of(
    groups: Sequence[Group], source: Source, maker: Maker, bodies: tuple[Segmentation, dict[str, int]] | None
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
        imaging_measurements=[_group(group, source, maker, bodies) for group in groups],
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
    finish("sr", [dataset], source, maker)
    return dataset


def _group(group: Group, source: Source, maker: Maker, bodies: tuple[Segmentation, dict[str, int]] | None) -> Any:
    site = concept(group.site)
    shared = {
        "tracking_identifier": TrackingIdentifier(uid=group.tracking_uid, identifier=group.tracking_id),
        "finding_type": concept(code(group.topic)),
        "algorithm_id": AlgorithmIdentification(NAME, maker.version, parameters=maker.parameters),
        "finding_sites": [FindingSite(anatomic_location=site)],
        "measurements": [_measurement(number, site) for number in group.numbers],
        "qualitative_evaluations": [_evaluation(coded) for coded in group.coded],
    }
    if bodies is None or not isinstance(group, Finding) or group.level not in bodies[1]:
        return MeasurementsAndQualitativeEvaluations(**shared)
    segment = ReferencedSegment(
        sop_class_uid=bodies[0].SOPClassUID,
        sop_instance_uid=bodies[0].SOPInstanceUID,
        segment_number=bodies[1][group.level],
        source_series=SourceSeriesForSegmentation(source.first.SeriesInstanceUID),
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **shared)


def _measurement(number: Number, site: CodedConcept) -> Measurement:
    """A number; where it is of one part of the body, its site is the vertebra with that part as its modifier."""
    sites = [FindingSite(site, topographical_modifier=concept(code(number.part)))] if number.part else None
    return Measurement(
        name=concept(code(number.concept)), value=number.value, unit=concept(code(number.unit)), finding_sites=sites
    )


def _evaluation(coded: Coded) -> QualitativeEvaluation:
    return QualitativeEvaluation(name=concept(code(coded.concept)), value=concept(coded.value))
