r"""Documents as lines of COPY's text format, without taking their texts apart.

A JSON string and a field of that format spell the same characters by the same two letters; only
``\uXXXX`` means nothing to COPY. So what stands between a string's quotes is the field as it is,
unless the document has such an escape. Numbers keep their digits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_NULL = b"\\N"
_QUOTE = ord('"')
_SPELLED = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"), (b"\t", b"\\t"))
"""What a field can't hold as it is."""


class CopyLines:
    """Makes the lines of one table.

    :param columns: members of a document in the order that COPY names them; one that a document
        lacks is NULL, and others, such as content that was added, are left out.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)

    def __call__(self, documents: Sequence[bytes]) -> bytes:
        """One line per document.

        :raises msgspec.DecodeError: one isn't a JSON object, or has half a surrogate pair.
        """
        return b"".join([self._line(document) for document in documents])

    def _line(self, document: bytes) -> bytes:
        member = _members(document).get
        values = [bytes(member(name, b"null")) for name in self._columns]
        if _has_escape(document):
            values = [_without_escapes(value) for value in values]
        fields = [v[1:-1] if v[0] == _QUOTE else _NULL if v == b"null" else v for v in values]
        return b"\t".join(fields) + b"\n"


def _has_escape(text: bytes) -> bool:
    # JSON within a text has many "\\u0123", each a backslash and no escape.
    return b"\\u" in text and b"\\u" in text.replace(b"\\\\", b"")


def _without_escapes(value: bytes) -> bytes:
    if value[0] != _QUOTE or not _has_escape(value):
        return value
    text = json.loads(value).encode()
    for letter, spelled in _SPELLED:
        text = text.replace(letter, spelled)
    return b'"%b"' % text
