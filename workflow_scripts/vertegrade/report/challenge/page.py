"""The page of the challenge: one self-contained HTML file about what virtual fractures show of the methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vertegrade.drawn_tables import SOURCE
from vertegrade.evaluation.challenge.measures import BAND_EDGES, LEAST_FOR_LIMIT
from vertegrade.evaluation.texts import estimate_text
from vertegrade.levels import NAMES
from vertegrade.methods import METHODS
from vertegrade.plotting import NOTICE
from vertegrade.report.data_uris import data_uri
from vertegrade.report.severities import interval_text, severity_text
from vertegrade.report.templates import PHANTOM_FACT, templates
from vertegrade.tables import HEIGHTS

VIRTUAL_NOTICE = "VIRTUAL fractures: made by a program in the scans, no patient has them"
KINDS = {
    "sham": "Sham: moved and resampled, without loss",
    "untouched": "Untouched, beside fractures and shams",
    SOURCE: "As in the patient's own scan",
}


@dataclass(frozen=True)
class Shown:
    """An example with its picture: rows of VIRTUAL_CASES by method, and a data URI."""

    cases: pd.DataFrame
    picture: str


def challenge_page(
    numbers: Mapping[str, Any], figures: Mapping[str, Path], examples: list[Shown], about: Mapping[str, bool]
) -> str:
    """The page as HTML.

    numbers: challenge.json. figures: image files by name (`all_figures`). about: whether the scans are `phantom`,
    landmarks were `given` with them, grades were `taught` by virtual fractures.
    """
    methods = numbers["methods"]
    novelty = any(cell["n"] for blocks in methods.values() for cell in _novelty_cells(blocks["all"]))
    return (
        templates(Path(__file__).parent)
        .get_template("page.html.j2")
        .render(
            notice=NOTICE,
            virtual_notice=VIRTUAL_NOTICE,
            phantom_fact=PHANTOM_FACT if about["phantom"] else "",
            about=about,
            numbers=numbers,
            scans_text="these phantoms" if about["phantom"] else "your scans",
            methods={name: METHODS[name].label for name in methods},
            sentences=[
                _noticed_sentence(METHODS[name].label, blocks, about["phantom"]) for name, blocks in methods.items()
            ],
            groups=[_group_table(methods, kind, title) for kind, title in GROUPS if _first(methods)[kind]],
            bands={name: _band_rows(methods, name) for name in ("all", *_first(methods)["shape"])},
            alarms=_alarm_rows(methods),
            whole=_whole_rows(methods),
            heights=_height_rows(numbers["heights"]),
            found=_found_rows(methods, novelty),
            novelty=novelty,
            card=_card_rows(numbers["credibility"]),
            examples=[_example(shown) for shown in examples],
            images={name: data_uri(path) for name, path in figures.items()},
            percent=percent,
            estimate_text=estimate_text,
            percent_text=percent_text,
        )
    )


MANY_ALARMS = 0.2  # share of intact vertebrae beyond which noticing fractures says little
GROUPS = [("shape", "Shape"), ("region", "Region"), ("scanner", "Scanner, kernel, slice thickness")]


def _first(methods: Mapping[str, Any]) -> Mapping[str, Any]:
    first: Mapping[str, Any] = next(iter(methods.values()))
    return first


def percent(value: float) -> str:
    """A share as whole percent."""
    return f"{100 * value:.0f} %"


def percent_text(cell: Mapping[str, Any]) -> str:
    """`80 % (71–88)`, `80 %` without an interval, `n/a` where undefined."""
    if cell["value"] is None:
        return "n/a"
    if cell["low"] is None:
        return percent(cell["value"])
    return f"{percent(cell['value'])} ({100 * cell['low']:.0f}–{100 * cell['high']:.0f})"


def limit_text(cell: Mapping[str, Any]) -> str:
    """The smallest loss that is noticed, as people read it; losses beyond those that were made are not known."""
    if cell["value"] is None:
        return "n/a"
    if cell["value"] > BAND_EDGES[-1]:
        return f"not up to {percent(BAND_EDGES[-1])}"
    return percent(cell["value"]) + (f" ({_ends(cell)})" if cell["low"] is not None else "")


def _noticed_sentence(label: str, blocks: Mapping[str, Any], phantom: bool) -> str:
    """From which loss on a method notices each shape, what could not be told, and how often it raises a false alarm."""
    limits = {shape: block["loss_noticed"] for shape, block in blocks["shape"].items()} | {
        "fracture of any shape": blocks["all"]["loss_noticed"]
    }
    known = {name: cell for name, cell in limits.items() if cell["value"] is not None}
    seen = [f"a {name} {_from(cell)}" for name, cell in known.items() if cell["value"] <= BAND_EDGES[-1]]
    missed = [name for name, cell in known.items() if cell["value"] > BAND_EDGES[-1]]
    unknown = {name: cell for name, cell in limits.items() if cell["value"] is None and cell["n"]}
    few = [f"{name} ({cell['n']})" for name, cell in unknown.items() if cell["n"] < LEAST_FOR_LIMIT]
    falling = [name for name, cell in unknown.items() if cell["n"] >= LEAST_FOR_LIMIT]
    where = f"On {'these phantoms' if phantom else 'your scans'}"
    words = [f"{where}, {label} notices {', '.join(seen) or 'no loss reliably'}."]
    if not known and not falling:
        words = [f"{where} it cannot be told from which loss on {label} notices a fracture."]
    words += [f"Not reliably even at {percent(BAND_EDGES[-1])} loss: {', '.join(missed)}."] * bool(missed)
    words += [f"Small losses are noticed as often as large ones: {', '.join(falling)}."] * bool(falling)
    words += [f"Too few to tell: {', '.join(few)}."] * bool(few)
    return " ".join([*words, _alarm_words(blocks["all"]["false_alarms"])])


def _from(cell: Mapping[str, Any]) -> str:
    """`from about 27 % loss on (22–33 %)`."""
    interval = f" ({_ends(cell)} %)" if cell["low"] is not None else ""
    return f"from about {percent(cell['value'])} loss on{interval}"


def _ends(cell: Mapping[str, Any]) -> str:
    high = f"{100 * cell['high']:.0f}" if cell["high"] <= BAND_EDGES[-1] else f"over {100 * BAND_EDGES[-1]:.0f}"
    return f"{100 * cell['low']:.0f}–{high}"


def _alarm_words(alarms: Mapping[str, Any]) -> str:
    if alarms["value"] is None:
        return "No intact vertebra was graded beside them."
    words = f"Of {alarms['n']} intact vertebrae, {percent_text(alarms)} are graded as fractured"
    many = alarms["value"] > MANY_ALARMS
    return words + ("; with so many false alarms, look at the figures at 95 % specificity." if many else ".")


def _group_table(methods: Mapping[str, Any], kind: str, title: str) -> dict[str, Any]:
    """Rows are the groups of a kind by method. No control has a shape, so that shapes have no false alarms."""
    heads = ["AUC", "Spearman with loss", "Noticed from", *(["False alarms"] if kind != "shape" else [])]
    rows = []
    for name in _first(methods)[kind]:
        for method, blocks in methods.items():
            block = blocks[kind][name]
            cells = [estimate_text(block["auc"]), estimate_text(block["spearman"]), limit_text(block["loss_noticed"])]
            cells += [percent_text(block["false_alarms"])] if kind != "shape" else []
            rows.append({"name": name, "method": METHODS[method].label, "counts": block["counts"], "cells": cells})
    return {"title": title, "heads": heads, "rows": rows}


def _band_rows(methods: Mapping[str, Any], shape: str) -> list[dict[str, Any]]:
    """Of each band of loss what each method notices, at its operating point and at 95 % specificity."""
    blocks = {name: block["all"] if shape == "all" else block["shape"][shape] for name, block in methods.items()}
    rows = []
    for place, band in enumerate(next(iter(blocks.values()))["bands"]):
        of = [block["bands"][place] for block in blocks.values()]
        cells = [percent_text(one[key]) for one in of for key in ("sensitivity", "sensitivity_at_95")]
        rows.append({"name": _band(band), "n": band["sensitivity"]["n"], "cells": cells})
    return rows


def _band(band: Mapping[str, Any]) -> str:
    return f"{100 * band['from']:.0f}–{100 * band['to']:.0f} %"


def _alarm_rows(methods: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds = [kind for kind in KINDS if kind in _first(methods)["all"]["kinds"]]
    return [
        {
            "name": KINDS[kind],
            "n": _first(methods)["all"]["kinds"][kind]["false_alarms"]["n"],
            "cells": [
                percent_text(blocks["all"]["kinds"][kind][key])
                for blocks in methods.values()
                for key in ("false_alarms", "false_alarms_at_95")
            ],
        }
        for kind in kinds
    ]


def _whole_rows(methods: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Figures of all fractures together, and the coverage of the intervals, by method."""
    listed = [
        ("ROC AUC", "clear fractures against all intact vertebrae", lambda block: estimate_text(block["auc"], 3)),
        ("Spearman with true loss", "among fractures", lambda block: estimate_text(block["spearman"], 3)),
        ("Sensitivity, clear fractures", "as graded", lambda block: percent_text(block["sensitivity"])),
        (
            "Sensitivity, clear fractures",
            "at 95 % specificity",
            lambda block: percent_text(block["sensitivity_at_95"]),
        ),
        ("Interval coverage, fractures", "", lambda block: percent_text(_of(block, "fracture", "coverage"))),
        ("Interval coverage, shams", "", lambda block: percent_text(_of(block, "sham", "coverage"))),
        ("Interval coverage, all", "", lambda block: percent_text(block["coverage"])),
    ]
    return [
        {"name": name, "meaning": meaning, "cells": [text(blocks["all"]) for blocks in methods.values()]}
        for name, meaning, text in listed
    ]


def _of(block: Mapping[str, Any], kind: str, figure: str) -> Mapping[str, Any]:
    cells: Mapping[str, Any] = block["kinds"].get(kind, {})
    cell: Mapping[str, Any] = cells.get(figure, {"value": None})
    return cell


def _height_rows(heights: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": {"fracture": "All fractures", "sham": "Sham", "untouched": "Untouched"}.get(
                name, f"Fracture: {name}"
            ),
            "n": blocks["all"]["mae"]["n"],
            "cells": [estimate_text(blocks[column][key]) for column in (*HEIGHTS, "all") for key in ("mae", "bias")],
        }
        for name, blocks in heights.items()
    ]


def _novelty_cells(block: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [kind["unlike_training"] for kind in block["kinds"].values()]


def _found_rows(methods: Mapping[str, Any], novelty: bool) -> list[dict[str, Any]]:
    """Shares of the bodies that were found, that got a grade, and that are unlike the training, by kind and loss."""
    figures = ["graded", *(["unlike_training"] if novelty else [])]
    blocks = [block["all"] for block in methods.values()]
    names = [(KINDS[kind].split(",")[0], [block["kinds"][kind] for block in blocks]) for kind in _kinds(blocks[0])]
    names += [
        (f"Fracture, {_band(band)}", [block["bands"][place] for block in blocks])
        for place, band in enumerate(blocks[0]["bands"])
    ]
    return [
        {
            "name": name,
            "n": cells[0]["found"]["n"],
            "cells": [percent_text(cells[0]["found"])] + [percent_text(cell[key]) for cell in cells for key in figures],
        }
        for name, cells in names
    ]


def _kinds(block: Mapping[str, Any]) -> list[str]:
    return [kind for kind in KINDS if kind in block["kinds"] and kind != SOURCE]


def _card_rows(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    named = {
        "sham_against_untouched": ("Shams against untouched vertebrae", f"at most {card['wanted_auc']} is wanted"),
        "virtual_against_real": ("Virtual against real fractures", "grade 2 or more; 0.5 would be perfect"),
    }
    return [
        {
            "name": name,
            "meaning": meaning,
            "cases": f"{card[key]['cases'][0]} against {card[key]['cases'][1]}",
            "cells": [f"n/a: {card[key]['why']}"] * 2
            if "why" in card[key]
            else [estimate_text(card[key][looks]) for looks in ("texture", "picture")],
        }
        for key, (name, meaning) in named.items()
    ]


def _example(shown: Shown) -> dict[str, Any]:
    case = shown.cases.iloc[0]
    fracture = case["kind"] == "fracture"
    what = (
        f"{case['shape']}, {percent(case['height_loss'])} loss (grade {case['genant_grade']})" if fracture else "sham"
    )
    return {
        "title": f"{NAMES[int(case['vertebra'])]}: {what}",
        "scan": case["scan_id"],
        "picture": shown.picture,
        "grades": [
            {"method": METHODS[str(row.method)].label, "text": _grade_text(row)}
            for row in shown.cases.itertuples(index=False)
        ],
    }


def _grade_text(row: Any) -> str:
    if not row.evaluable:
        return f"no grade ({row.reason})"
    interval = interval_text(row.severity_low, row.severity_high, "–")
    return f"grade {row.grade}, severity {severity_text(row.severity)} ({interval})"
