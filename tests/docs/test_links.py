from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.docs.pages import PAGES, ROOT, Page


def test_the_pages_are_found() -> None:
    names = {str(page) for page in PAGES}

    assert {"README.md", "docs/getting-started.md", "docs/concepts/resume.md"} <= names


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    broken = []
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.path.parent / parts.path).resolve() if parts.path else page.path
        if not target.exists() or ROOT not in target.parents:
            broken.append(f"{link}: there is no such file in the checkout")
        elif parts.fragment and parts.fragment not in Page(target).anchors:
            broken.append(f"{link}: the page has no such heading")

    assert not broken


def test_every_page_is_reached_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    waiting = list(reached)
    while waiting:
        here = Page(waiting.pop())
        for link in here.links:
            parts = urlsplit(link)
            target = (here.path.parent / parts.path).resolve()
            if not parts.scheme and target.suffix == ".md" and target not in reached:
                reached.add(target)
                waiting.append(target)

    assert {str(page) for page in PAGES} <= {str(Page(path)) for path in reached}
