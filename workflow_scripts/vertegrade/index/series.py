"""DICOM headers to series, and series to rows of the sample sheet."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from vertegrade.cohort.sheet import ScanRow
from vertegrade.cohort.subjects import dicom_age_band, dicom_sex
from vertegrade.ct.headers import series_code
from vertegrade.index.found import Found
from vertegrade.index.headers import DicomHeader
from vertegrade.index.pseudonyms import TEXTS, pseudonym

COUNTED = ("localizer", "not_ct", "not_dicom", "dicomdir")


@dataclass
class Series:
    """The CT images of one SeriesInstanceUID, by the folder or zip that they lie in."""

    uid: str
    first: DicomHeader
    patients: set[str] = field(default_factory=set)
    images: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    slices: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def place(self) -> "Place":
        """Where all images are: of several complete copies the first; of scattered ones, their common folder."""
        whole = set().union(*self.images.values())
        complete = sorted(place for place, images in self.images.items() if images == whole)
        if complete:
            return Place(complete[0], self.slices[complete[0]], sorted(self.images.keys() - {complete[0]}))
        return Place(os.path.commonpath(self.images), sum(self.slices.values()), [])


class Place(NamedTuple):
    """Folder or zip of a series, its slices there, and other places with the same images or some of them."""

    path: str
    slices: int
    copies: list[str]


def collect(headers: Iterable[tuple[str, str, DicomHeader]], found: Found) -> dict[str, Series]:
    """Series by UID of (folder or zip, name in it, header); what is no CT image is counted in `found`."""
    series: dict[str, Series] = {}
    for place, name, header in headers:
        found.files += 1
        if header.kind == "ct":
            found.slices += 1
            uid = header.text("SeriesInstanceUID")
            item = series.setdefault(uid, Series(uid, header))
            item.patients.add(header.text("PatientID"))
            item.images[place].add(header.text("SOPInstanceUID") or name)
            item.slices[place] += header.slices
        elif header.kind in COUNTED:
            found.leave_file(header.kind)
        else:
            found.leave_file(header.kind, os.path.join(place, name))
    return series


def add_series(series: dict[str, Series], min_slices: int, key: bytes, found: Found) -> None:
    """A row for each series that can be a scan; the others are left out with a reason."""
    series = _joined(series, min_slices)
    below = _series_below(series.values())
    unnamed = 0
    for uid in sorted(series):
        item = series[uid]
        place = item.place()
        found.images += 1 + len(place.copies)
        for copy in place.copies:
            found.leave_image("copy", copy)
        if reason := _no_scan(item, place, min_slices):
            found.leave_image(reason, place.path)
            continue
        original = item.first.text("PatientID")
        unnamed += not original
        patient = pseudonym(key, "p", original or f"study {item.first.text('StudyInstanceUID') or uid}")
        scan = pseudonym(key, "s", uid)
        if not uid:
            found.contents[scan] = pseudonym(key, "c", " ".join(sorted(set().union(*item.images.values()))))
        code = series_code(uid) if below[place.path] > 1 else ""
        sex, age = (item.first.text(name) for name in ("PatientSex", "PatientAge"))
        described = {"sex": dicom_sex(sex), "age_band": dicom_age_band(age)}
        found.rows.append(ScanRow(scan, patient, place.path, series=code, **described))
        texts = {name: item.first.text(name) for name in TEXTS}
        found.links.append({"scan_id": scan, "patient_id": patient} | texts)
    if unnamed:
        found.notes.append(f"{unnamed} series without PatientID: each study counts as a patient; correct patient_id")
    _leave_out_contradictory_sexes(found)


def _leave_out_contradictory_sexes(found: Found) -> None:
    """A patient whose series name two sexes has none in the sheet, which would not be read with both."""
    sexes: dict[str, set[str]] = defaultdict(set)
    for row in found.rows:
        sexes[row.patient_id] |= {row.sex} - {""}
    unsure = {patient for patient, named in sexes.items() if len(named) > 1}
    found.rows = [replace(row, sex="") if row.patient_id in unsure else row for row in found.rows]
    if unsure:
        found.notes.append(f"{len(unsure)} patient(s) whose series name different sexes: left empty; fill in `sex`")


def _joined(series: dict[str, Series], min_slices: int) -> dict[str, Series]:
    """The series, but those of one folder whose every image is its own series (`ct.joined`) as one."""
    by_place: dict[str, list[Series]] = defaultdict(list)
    for item in series.values():
        for place in item.images:
            by_place[place].append(item)
    for place, items in by_place.items():
        alone = all(len(item.images) == 1 and item.slices[place] == 1 for item in items)
        if alone and len(items) >= min_slices:
            whole = min(items, key=lambda item: item.uid)
            for item in items:
                whole.patients |= item.patients
                whole.images[place] |= item.images[place]
            whole.slices[place] = len(items)
            gone = {item.uid for item in items} - {whole.uid}
            series = {uid: item for uid, item in series.items() if uid not in gone}
    return series


def _no_scan(item: Series, place: Place, min_slices: int) -> str:
    if len(item.patients) > 1:
        return "several_patients"
    if place.slices < min_slices:
        return "too_few_slices"
    return "scattered" if place.path not in item.images and any(map(os.path.isfile, item.images)) else ""


def _series_below(series: Iterable[Series]) -> dict[str, int]:
    """How many series lie in each zip, and in or below each folder: conversion reads all that is below a folder, but no
    zip there."""
    uids: dict[str, set[str]] = defaultdict(set)
    for item in series:
        for place in item.images:
            is_zip = os.path.isfile(place)
            while place and item.uid not in uids[place]:
                uids[place].add(item.uid)
                place = "" if is_zip or os.path.dirname(place) == place else os.path.dirname(place)
    return {place: len(found) for place, found in uids.items()}
