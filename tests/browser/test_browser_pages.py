"""Every kind of page in a browser, wide and narrow: silent, offline, whole, and usable without eyes or a mouse."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from helpers.browser import SERIOUS, Opened, opened
from helpers.links import broken_links
from helpers.report_pages import INDEX_OF_500, write_index, write_lineage, write_others, write_report
from vertegrade.plotting import NOTICE
from vertegrade.report.patients.printing import print_pages

PATIENTS = ["patient, findings", "patient, follow-up", "patient, no finding", "patient, not evaluable"]
REPORT = ["cohort", "index", *PATIENTS]
PAGES = [*REPORT, "challenge", "comparison", "metastasis", "lineage"]
WIDTHS = (1440, 400)
MARGINS_MM, PIXELS_PER_MM = 24, 96 / 25.4
LANDSCAPE = ["comparison"]
MEGABYTES = {"cohort": 15, INDEX_OF_500: 3} | dict.fromkeys(PATIENTS, 5)
SECONDS = 2.0  # of a page's own thread until it can be used, whatever else the machine does
# What holds the keyboard's focus and cannot be seen then: its middle is covered or clipped.
UNSEEN = """() => {
  const seen = (element) => {
    element.focus();
    const shown = element.querySelector("text") ?? element;
    shown.scrollIntoView({ block: "center", inline: "center" });
    const { left, top, width, height } = shown.getClientRects()[0] ?? { width: 0 };
    if (!width || !height) return false;
    const right = Math.min(left + width, innerWidth), bottom = Math.min(top + height, innerHeight);
    const x = (Math.max(left, 0) + right) / 2, y = (Math.max(top, 0) + bottom) / 2;
    const hits = [y - 3, y, y + 3].map((each) => document.elementFromPoint(x, each));
    return hits.every((hit) => element.contains(hit) || (element.tagName === "A" && hit?.contains(element)));
  };
  const wanted = "a[href], button, input, select, summary, [tabindex='0']";
  const usable = [...document.querySelectorAll(wanted)].filter((each) => each.checkVisibility());
  return usable.filter((each) => !seen(each)).map((each) => each.outerHTML.slice(0, 120));
}"""
# What goes beyond the paper's edge, or is cut off within it; what only a screen reader is told has no place on it.
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((each) => {
  if (!each.getClientRects().length || each.closest(".hidden, .skip")) return false;
  const cut = each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "visible";
  return cut || each.getBoundingClientRect().right > innerWidth + 1;
}).map((each) => `${each.tagName} ${each.className}: ${each.textContent.trim().slice(0, 60)}`)"""
# Pictures without pixels, but for one that waits for a vertebra to be chosen.
NOT_DRAWN = "[...document.images].filter((each) => !each.naturalWidth && (each.src || !each.hidden)).length"
# Boxes whose content is wider than they are.
SIDEWAYS = """all => all.filter((each) => each.scrollWidth > each.clientWidth + 1)
  .map((each) => `${each.ariaLabel}: ${each.scrollWidth} of ${each.clientWidth} px`)"""

BAD = """<html><head><title>a</title></head><body>
<p style="color: #aaa">pale</p><img src="http://127.0.0.1:9/a.png"><p style="width: 900px">wide</p>
<p style="height: 1px; overflow: hidden"><button>a</button></p><button>seen</button>
<div style="overflow: auto; width: 90px; height: 20px"><p style="width: 300px">long</p></div>
<a href="a.html">a</a> <a href="#b">b</a><script>console.error("told")</script></body></html>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind, by name."""
    folder = tmp_path_factory.mktemp("site")
    alone = {"lineage": write_lineage(folder), INDEX_OF_500: write_index(folder, 500)}
    return write_report(folder) | write_others(folder) | alone


@pytest.fixture(scope="module", params=[(name, width) for name in PAGES for width in WIDTHS], ids=str)
def shown(site: dict[str, Path], program: Browser, request: pytest.FixtureRequest) -> Iterator[Opened]:
    name, width = request.param
    with opened(program, site[name], width) as page:
        page.unfold()
        yield page


def test_it_is_silent_and_asks_for_nothing(shown: Opened) -> None:
    assert shown.said == []
    assert shown.asked == []
    assert shown.page.evaluate(NOT_DRAWN) == 0


def test_it_can_be_used_without_eyes(shown: Opened) -> None:
    for found in shown.violations():
        told = f"{found['impact']}: {found['help']} ({found['id']})"
        where = [f"{node['target']}: {node['failureSummary']}" for node in found["nodes"]]
        if found["impact"] in SERIOUS:
            pytest.fail("\n".join([told, *where[:5]]))
        warnings.warn(f"{told} at {len(where)} places of {shown.page.title()}", stacklevel=1)


def test_it_can_be_used_without_a_mouse(shown: Opened) -> None:
    assert shown.page.evaluate(UNSEEN) == []


def test_it_is_as_wide_as_the_window(shown: Opened) -> None:
    assert shown.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("width", WIDTHS)
def test_all_columns_of_the_cohorts_tables_are_seen(site: dict[str, Path], program: Browser, width: int) -> None:
    with opened(program, site["cohort"], width) as shown:
        shown.unfold()
        boxes = shown.page.locator(".scroll")
        assert boxes.count() > 5
        assert boxes.evaluate_all(SIDEWAYS) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_charts_tell_of_the_vertebra_that_a_mouse_or_a_key_chooses(
    site: dict[str, Path], program: Browser, width: int
) -> None:
    with opened(program, site["cohort"], width) as shown:
        shown.unfold()
        page, charts = shown.page, shown.page.get_by_role("application", name="Arrows go from vertebra to vertebra")
        assert charts.count() == 3
        for chart in charts.all():
            assert "\n" not in chart.aria_snapshot(), "a screen reader is told of the drawing, too"
        chart = page.locator(".chart[data-chart=severity]")
        told, live = chart.get_by_role("status"), chart.get_by_role("application")
        chart.locator("svg .mark-symbol.role-mark path").nth(5).hover(force=True)
        assert re.match(r".+ of scan P\d+-1, test split\n", told.inner_text())
        pointed = told.inner_text()
        live.focus()
        page.keyboard.press("Home")
        first = told.inner_text()
        page.keyboard.press("ArrowRight")
        assert len({pointed, first, told.inner_text()}) == 3
        assert "True grade" in first
        patient = chart.locator(".panel a").inner_text().removeprefix("Page of patient ")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/patients/{patient}.html")
        assert shown.said == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_all_vertebrae_sorts(site: dict[str, Path], program: Browser, width: int) -> None:
    with opened(program, site["cohort"], width) as shown:
        shown.unfold()
        table = shown.page.locator("details.vertebrae table")
        head = "Keypoints"
        cells = table.locator(f"td[data-head='{head}']")
        for reverse in (False, True):
            table.get_by_role("button", name=head).click()
            numbers = [float(text.split()[0]) for text in cells.all_text_contents() if text != "none"]
            assert len(set(numbers)) > 20
            assert numbers == sorted(numbers, reverse=reverse)


def test_it_has_one_heading_a_title_a_language_and_says_what_it_is_not_for(shown: Opened) -> None:
    assert shown.page.locator("h1").count() == 1
    assert shown.page.title().startswith("Vertegrade: ")
    assert shown.page.locator("html").get_attribute("lang") == "en"
    assert shown.page.get_by_text(NOTICE).first.is_visible()


def _paper_mm(name: str) -> tuple[int, int]:
    return (297, 210) if name in LANDSCAPE else (210, 297)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_off_on_paper(site: dict[str, Path], program: Browser, name: str) -> None:
    width = int((_paper_mm(name)[0] - MARGINS_MM) * PIXELS_PER_MM)
    with opened(program, site[name], width) as shown:
        shown.unfold()
        shown.page.emulate_media(media="print")
        assert shown.page.evaluate(CUT_OFF) == []


@pytest.mark.parametrize("name", ["patient, findings", "cohort", "comparison"])
@pytest.mark.usefixtures("program")
def test_it_is_printed_on_a4(site: dict[str, Path], name: str, tmp_path: Path) -> None:
    print_pages([site[name]], tmp_path)
    printed = (tmp_path / f"{site[name].stem}.pdf").read_bytes()
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    millimetres = {tuple(round(float(points) / 72 * 25.4) for points in size) for size in sizes}
    assert millimetres == {_paper_mm(name)}


def test_a_page_with_these_faults_is_found(program: Browser, tmp_path: Path) -> None:
    """Else all of the above could pass of pages that are not looked at."""
    page = tmp_path / "bad.html"
    page.write_text(BAD, encoding="utf-8")
    with opened(program, page, 400) as shown:
        shown.page.wait_for_timeout(200)
        assert any("told" in text for text in shown.said)
        assert shown.asked == ["http://127.0.0.1:9/a.png"]
        serious = {found["id"] for found in shown.violations() if found["impact"] in SERIOUS}
        assert {"color-contrast", "image-alt", "html-has-lang", "scrollable-region-focusable"} <= serious
        assert [text[:12] for text in shown.page.evaluate(UNSEEN)] == ["<button>a</b"]
        assert shown.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") > 0
        assert len(shown.page.evaluate(CUT_OFF)) >= 2
    assert broken_links(page) == ["#b", "a.html"]


@pytest.mark.parametrize("name", MEGABYTES)
def test_it_is_small_and_soon_usable(site: dict[str, Path], program: Browser, name: str) -> None:
    size = site[name].stat().st_size
    assert size <= 1e6 * MEGABYTES[name]
    with opened(program, site[name]) as shown:
        session = shown.page.context.new_cdp_session(shown.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        shown.page.reload()
        assert shown.page.evaluate("document.body.offsetHeight") > 0
        metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        print(f"{name}: {size / 1e6:.2f} MB, {metrics['TaskDuration']:.2f} s")
        assert 0 < metrics["TaskDuration"] <= SECONDS
        assert shown.said == []


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(site: dict[str, Path], name: str) -> None:
    assert broken_links(site[name]) == []
