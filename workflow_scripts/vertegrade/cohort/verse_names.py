"""Whose scan a file of VerSe is, by its name alone: both releases, both layouts. Plain Python, used at parse time.

Subject-based (BIDS): `sub-verse401_split-verse253_ct.nii.gz`, `sub-gl003_dir-ax_ct.nii.gz`. MICCAI challenge of 2019:
`verse253.nii.gz`; of 2020: `verse401_verse253_CT-iso.nii.gz`, `GL017_CT_ax.nii.gz`. Each image series has its own
id; what comes before a second id is the subject. `dir-ax`, `CT-iso` mean the plane, never a series.
"""

import re
from collections.abc import Iterable

NAME = re.compile(
    r"(?:sub-)?((?:verse|gl)\d{3})(?:[_-](?:split-)?((?:verse|gl)\d{3}))?(?:[_-](?:ct|dir)[_-](?:iso|ax|sag|cor))?"
    r"(?:_ct)?(?:\.nii)?(?:\.gz)?",
    re.IGNORECASE,
)
# The series of subjects with more than one, as the grade sheet of VerSe'19 links them (columns subject_ID, verse_ID).
# The challenge of 2019 names the series alone; no subject of 2020 that is not among these has two.
SERIES = {
    400: (90, 155),
    401: (201, 253),
    402: (202, 251),
    403: (208, 255),
    404: (209, 256),
    405: (212, 258, 259),
    406: (214, 261),
    407: (215, 262),
    408: (223, 265),
    409: (226, 266),
    410: (227, 267),
    411: (232, 270),
    412: (235, 290),
    413: (239, 272),
    414: (241, 273),
    415: (243, 275),
    416: (247, 279),
    417: (277, 278),
}
FIRST_OF_2020 = 450  # all subjects with smaller numbers are of VerSe'19 (wiki of osf.io/b2wxj)
SUBJECT_OF = {f"verse{one:03d}": f"verse{subject}" for subject, series in SERIES.items() for one in series}


def verse_ids(name: str) -> tuple[str, str] | None:
    """(patient, series) of the name of a VerSe image, with or without its suffixes; None for other names."""
    found = NAME.fullmatch(name)
    if not found:
        return None
    first, second = (text.lower() if text else "" for text in found.groups())
    series = second or first
    return SUBJECT_OF.get(series, first), series


# The folders of the subject-based releases, as they are downloaded.
RELEASE = re.compile(r"dataset-verse(19|20)(training|validation|test)", re.IGNORECASE)


def official_split(folders: Iterable[str], patient: str) -> str:
    """Split of VerSe's release for a patient whose image lies in these folders; "" where the names do not say.

    Subjects of VerSe'19 are in both releases, not always on the same side. Their split is that of VerSe'19, which the
    grade sheet has too, so VerSe'20 counts for its own subjects alone.
    """
    if not verse_ids(patient):
        return ""
    old = patient.startswith("verse") and int(patient.removeprefix("verse")) < FIRST_OF_2020
    found = [match for match in map(RELEASE.fullmatch, folders) if match and (match[1] == "19") == old]
    return {"training": "train"}.get(found[-1][2].lower(), found[-1][2].lower()) if found else ""
