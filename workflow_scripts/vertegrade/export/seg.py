"""A DICOM segmentation of the vertebral bodies, drawn from their six points (`bodies`)."""

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.uid import ExplicitVRLittleEndian

from vertegrade.export.about import NAME, NOTICE, Maker, concept, series_of
from vertegrade.export.bodies import drawn_bodies
from vertegrade.export.codes import code
from vertegrade.export.findings import Finding, uid_of
from vertegrade.export.finish import finish
from vertegrade.export.source import Source

HOW = "Bodies drawn from six points each: endplates as measured, walls an elliptic cylinder, no arch"


def segmentation_of(
    findings: list[Finding], source: Source, maker: Maker
) -> tuple[Segmentation, dict[str, int]] | None:
    """The object and the segment number of each level; None where no body has six points within the slices."""
    maps, named = drawn_bodies(findings, source)
    if not named:
        return None
    algorithm = AlgorithmIdentificationSequence(
        name=NAME, family=concept(code("artificial-intelligence")), version=maker.version, parameters={"how": HOW}
    )
    segments = [_segment(number, finding, algorithm) for number, finding in enumerate(named, start=1)]
    dataset = Segmentation(
        source_images=source.images,
        pixel_array=_in_order_of_images(maps, source),
        segmentation_type="BINARY",
        segment_descriptions=segments,
        content_label="VERTEBRAL_BODIES",
        content_description=NOTICE,
        content_creator_name="",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **series_of("seg", source.first, maker),
    )
    organization = uid_of("vertegrade/dimensions", source.first.SeriesInstanceUID)  # highdicom draws one at random
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    finish("seg", [dataset], source, maker)
    return dataset, {finding.level: number for number, finding in enumerate(named, start=1)}


def _segment(number: int, finding: Finding, algorithm: AlgorithmIdentificationSequence) -> SegmentDescription:
    described = SegmentDescription(
        segment_number=number,
        segment_label=f"{finding.level} vertebral body",
        segmented_property_category=concept(code("anatomical-structure")),
        segmented_property_type=concept(finding.site),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_uid=finding.tracking_uid,
        tracking_id=finding.tracking_id,
    )
    described.SegmentDescription = HOW
    return described


def _in_order_of_images(maps: np.ndarray, source: Source) -> np.ndarray:
    """Label maps (slices, rows, columns) as highdicom wants them: by image, or by frame of a multi-frame image."""
    if len(source.images) == 1:
        ordered = np.zeros((int(source.first.NumberOfFrames), *source.shape), dtype=maps.dtype)
        ordered[[frame for _, frame in source.frames]] = maps
        return ordered
    return maps
