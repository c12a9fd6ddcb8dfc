"""The documentation as data: pages, their headings, links and blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_COMMENT_ABOVE = re.compile(r"<!-- (?P<note>[^\n]+) -->\n\Z")
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(?P<title>.+?) *#*$", re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    :param note: text of an HTML comment right above it, for example ``sql: ledger``.
    :param where: page and line, for messages.
    """

    language: str
    text: str
    note: str
    where: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(self._blocks())

    def _blocks(self) -> Iterator[Block]:
        for found in _FENCE.finditer(self.text):
            indent = len(found["indent"])
            lines = found["text"].splitlines()
            above = _COMMENT_ABOVE.search(self.text[: found.start()])
            yield Block(
                language=found["language"],
                text="".join(f"{line[indent:]}\n" for line in lines),
                note=above["note"] if above else "",
                where=f"{self}:{self.text.count(chr(10), 0, found.start()) + 1}",
            )

    def of(self, language: str) -> tuple[Block, ...]:
        """The blocks in one language."""
        return tuple(block for block in self.blocks if block.language == language)

    @cached_property
    def links(self) -> tuple[str, ...]:
        return tuple(found["target"] for found in _LINK.finditer(_INLINE.sub("", self.prose)))

    @cached_property
    def headings(self) -> tuple[str, ...]:
        return tuple(found["title"] for found in _HEADING.finditer(self.prose))

    @cached_property
    def anchors(self) -> frozenset[str]:
        """What GitHub makes of the headings; a repeated one gets a number."""
        anchors: set[str] = set()
        for title in self.headings:
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            number, anchor = 0, slug
            while anchor in anchors:
                number += 1
                anchor = f"{slug}-{number}"
            anchors.add(anchor)
        return frozenset(anchors)

    @cached_property
    def inline(self) -> tuple[str, ...]:
        """Pieces of inline code."""
        return tuple(_INLINE.findall(self.prose))


def page(name: str) -> Page:
    """The page at a path relative to the checkout."""
    return Page(ROOT / name)


PAGES = tuple(
    Page(path)
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
)
"""Every page that users read."""
