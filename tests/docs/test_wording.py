from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Page, page

BANNED = ("TODO", "FIXME", "TBD", "/tmp/", "/home/", "/root/", "/Users/")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_nothing_unfinished_and_no_path_of_somebodys_machine(page: Page) -> None:
    assert [word for word in BANNED if word in page.text] == []
    assert re.findall(r"@\w+(?::\w+)?@", page.text) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_lines_of_prose_stay_readable(page: Page) -> None:
    if str(page) == "docs/configuration.md":
        return  # generated, one table row per key
    lines = [
        line
        for line in page.prose.splitlines()
        if len(line) > 120 and not line.lstrip(" -").startswith(("|", "["))
    ]

    assert lines == []


def test_every_make_command_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        verb
        for each in PAGES
        for text in (*(block.text for block in each.of("bash")), *each.inline)
        for verb in re.findall(r"(?:^|\n)\s*make ([a-z-]+)", text)
    }

    assert {"demo", "test", "up", "down"} <= named
    assert named <= targets


def test_the_readme_names_tests_that_exist() -> None:
    text = page("README.md").text
    named = re.findall(r"`(tests/[^`]+)`", text)

    assert len(named) >= 9
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_promise_of_the_readme_names_a_test() -> None:
    text = page("README.md").text
    table = text.partition("| promise |")[2].partition("\n\n")[0]
    rows = table.splitlines()[2:]

    assert len(rows) >= 9
    assert [row for row in rows if "`tests/" not in row] == []


def test_files_named_in_inline_code_exist() -> None:
    suffixes = {".py", ".lock", ".in"}
    named = {
        (str(each), text)
        for each in PAGES
        for text in each.inline
        if "/" in text and Path(text).suffix in suffixes and " " not in text
    }

    assert [name for name in named if not (ROOT / name[1]).exists()] == []
