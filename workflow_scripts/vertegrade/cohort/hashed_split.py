"""The split of a patient to whom none was given; read while the Snakefile is parsed, so no numpy."""

import hashlib

from vertegrade.settings.cohort import SplitSettings


def hash_fraction(patient_id: str, key: str) -> float:
    """Position of a patient in [0, 1): the first 8 bytes of SHA-256 of "key/patient_id". No other patient matters."""
    digest = hashlib.sha256(f"{key}/{patient_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2.0**53


def hashed_split(patient_id: str, settings: SplitSettings) -> str:
    """Split of a patient to whom none was given."""
    position = hash_fraction(patient_id, settings.key)
    if position < settings.train:
        return "train"
    return "validation" if position < settings.train + settings.validation else "test"
