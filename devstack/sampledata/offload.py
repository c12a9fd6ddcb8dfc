"""Node content too large for a column, as Dify puts it into object storage.

The full JSON lies in a file under ``upload_files.key``; the node's own column keeps a shortened
JSON with the same keys. The last word of a full text, ``tail-<ticket>``, is in no shortened one: a
search for it finds only what was followed into the file.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from devstack.sampledata.texts import Text, escape

DIFY_THRESHOLD = 1_024_000
"""Above this many bytes Dify moves a column's content to object storage."""
_KEPT_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class LargeContent:
    """A JSON text as it is in the file, and as the column keeps it."""

    full: str
    shortened: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the object storage.

    :param key: where it belongs, relative to the root of the storage
    :param content: its bytes; None where the profile wants it to be missing
    """

    key: str
    content: bytes | None


def large_content(rng: random.Random, texts: list[Text], *, size: int, ticket: str) -> LargeContent:
    """A JSON object of at least ``size`` bytes."""
    parts: list[Text] = []
    length = 0
    while length < size:
        parts.append(texts[int(rng.random() * len(texts))])
        length += len(parts[-1].escaped) + 1
    beginning = ""
    for part in parts:
        beginning = f"{beginning} {part.plain}".strip()
        if len(beginning) > _KEPT_CHARACTERS:
            break
    text = " ".join(part.escaped for part in parts)
    return LargeContent(
        f'{{"ticket": "{ticket}", "text": "{text} tail-{ticket}"}}',
        f'{{"ticket": "{ticket}", "text": "{escape(beginning[:_KEPT_CHARACTERS])}..."}}',
    )


def time_ordered_uuid(rng: random.Random, at: int) -> str:
    """A version 7 uuid, as Dify gives to offload rows.

    :param rng: source of its random part
    :param at: its time in microseconds since 1970
    """
    digits = f"{at // 1_000:012x}7{rng.getrandbits(12):03x}{rng.getrandbits(62) | 1 << 63:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
