"""Codes of reasons and flags, counts and lists, in the words of a sentence."""

from collections.abc import Sequence

from vertegrade.reasons import FLAGS, REASONS
from vertegrade.vertebra_reasons import VERTEBRA_FLAGS, VERTEBRA_REASONS


def joined(texts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def plural(count: int, word: str) -> str:
    """`1 scan`, `2 scans`, `3 vertebrae`."""
    many = f"{word}e" if word.endswith("vertebra") else f"{word}s"
    return f"{count} {word if count == 1 else many}"


def reason_text(code: str) -> str:
    """Why a scan or a vertebra was left out."""
    known = VERTEBRA_REASONS.get(code) or REASONS.get(code)
    return plain(known.meaning) if known else code.replace("_", " ")


def remedy_text(code: str) -> str:
    """What to do about it."""
    known = VERTEBRA_REASONS.get(code) or REASONS.get(code)
    return plain(known.remedy) if known else ""


def flag_text(flag: str) -> str:
    """A flag in a few words."""
    return flag.replace("_", " ")


def flag_meaning(flag: str) -> str:
    """A flag in a sentence."""
    return plain(VERTEBRA_FLAGS.get(flag) or FLAGS.get(flag) or "")


def plain(text: str) -> str:
    """A text of Markdown without its marks of code."""
    return text.replace("`", "")
