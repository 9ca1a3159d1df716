"""The page of 500 patients in a browser: sort and filter by mouse and keyboard, and marks that the workflow takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from helpers.browser import Opened, opened
from helpers.report_pages import write_index
from vertegrade.cohort.qc import QcMark, read_marks

COUNT = 500
IDS = [f"P{number:03d}" for number in range(COUNT)]
NOTE = 'levels\t"one" off; ask Anna, ä'


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_index(tmp_path_factory.mktemp("index"), COUNT)


@pytest.fixture(params=[1440, 400])
def page(index: Path, program: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    with opened(program, index, request.param) as shown:
        yield shown.page
        assert _silent(shown)


def _silent(shown: Opened) -> bool:
    return shown.said == [] and not [url for url in shown.asked if not url.startswith("blob:")]


def ids(page: Page) -> list[str]:
    """Patients in their order on the page, without those that are filtered out."""
    return page.locator("#table tbody tr:not([hidden]) th a").all_inner_texts()


def sorted_by(page: Page) -> dict[str, str]:
    heads = page.locator("#table thead th[aria-sort]")
    return dict(heads.evaluate_all("all => all.map((each) => [each.dataset.key, each.getAttribute('aria-sort')])"))


def test_the_worst_is_first_and_a_click_sorts(page: Page) -> None:
    worst = ids(page)
    assert sorted(worst) == IDS
    assert sorted_by(page) == {"worst": "descending"}
    graded = page.get_by_role("button", name="Graded")
    graded.click()
    assert sorted_by(page) == {"graded": "ascending"}
    cells = page.locator("#table tbody td[data-head=Graded]").evaluate_all("all => all.map((each) => +each.dataset.v)")
    assert cells == sorted(cells)
    assert len(set(cells)) > 1
    page.get_by_role("button", name="Worst finding").click()
    page.get_by_role("button", name="Worst finding").click()
    assert sorted_by(page) == {"worst": "descending"}
    severities = page.locator("#table tbody td[data-head='Worst finding']")
    found = severities.evaluate_all("all => all.map((each) => +each.dataset.v)")
    assert found == sorted(found, reverse=True)


def test_the_keyboard_alone_sorts(page: Page) -> None:
    page.locator("#export").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Patient"
    page.keyboard.press("Enter")
    assert (sorted_by(page), ids(page)) == ({"patient": "ascending"}, IDS)
    page.keyboard.press("Space")
    assert (sorted_by(page), ids(page)) == ({"patient": "descending"}, IDS[::-1])
    assert page.evaluate("document.activeElement.textContent") == "Patient"


def test_the_first_key_leads_past_the_head_of_the_page(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.locator(".skip").is_visible()
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**#patients")  # the browser follows a link in its own time
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "search"


def test_the_keyboard_alone_filters_and_the_count_is_told(page: Page) -> None:
    page.locator("#search").focus()
    page.keyboard.type("p49")
    assert sorted(ids(page)) == [f"P49{number}" for number in range(10)]
    assert page.get_by_role("status").inner_text() == "10 of 500 patients"
    page.locator("#search").fill("")
    page.keyboard.press("Tab")
    page.keyboard.type("with a scan left out")
    page.keyboard.press("Tab")
    assert sorted(ids(page)) == ["P001", "P007"]
    assert page.get_by_role("status").inner_text() == "2 of 500 patients"


def test_marks_are_kept_and_the_workflow_takes_the_file_that_is_saved(page: Page, tmp_path: Path) -> None:
    scans = {f"{name}-1" for name in IDS}
    page.get_by_label("Mark of scan P003-1").select_option("fail")
    page.get_by_label("Mark of scan P002-1").focus()
    page.keyboard.type("doubt")
    page.get_by_label("Note on scan P002-1").focus()
    page.keyboard.insert_text(NOTE)
    page.keyboard.press("Tab")
    page.reload()
    page.locator("#show").select_option("mark-doubt")
    assert ids(page) == ["P002"]
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the marks as qc.tsv").click()
    assert saved.value.suggested_filename == "qc.tsv"
    saved.value.save_as(tmp_path / "qc.tsv")
    marks = read_marks(tmp_path / "qc.tsv", scans)
    assert marks == {"P003-1": QcMark("fail", ""), "P002-1": QcMark("doubt", 'levels "one" off; ask Anna, ä')}
