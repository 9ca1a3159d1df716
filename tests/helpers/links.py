"""Where the links of a page lead."""

from pathlib import Path
from urllib.parse import unquote

from helpers.page import Outline


def broken_links(page: Path) -> list[str]:
    """Links of a page, and ids that it names, which lead nowhere: a file or an anchor that is not there."""
    outline = Outline(page.read_text(encoding="utf-8"))
    anchors: dict[Path, set[str]] = {page: _ids(outline)}

    def leads_somewhere(link: str) -> bool:
        path, _, anchor = map(unquote, link.partition("#"))
        file = page.parent / path if path else page
        if not file.is_file():
            return False
        if anchor and file not in anchors:
            anchors[file] = _ids(Outline(file.read_text(encoding="utf-8")))
        return not anchor or anchor in anchors[file]

    named = [f"#{tag[key]}" for _, tag in outline.tags for key in ("for", "aria-labelledby") if tag.get(key)]
    links = [str(link["href"]) for link in outline.named("a")]
    return sorted({link for link in links + named if not leads_somewhere(link)})


def _ids(outline: Outline) -> set[str]:
    return {str(tag["id"]) for _, tag in outline.tags if "id" in tag}
