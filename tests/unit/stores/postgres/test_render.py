"""Rows as COPY sends them, split and framed without a server."""

from __future__ import annotations

import random

import pytest

from airflow_provider_logmigrate.stores.postgres.render import (
    DELIMITER,
    NULL,
    QUOTE,
    unquote,
    unquote_first,
)


def csv_row(fields: list[bytes | None]) -> bytes:
    """A row as PostgreSQL's csv format writes it with these options."""
    written = []
    for field in fields:
        if field is None:
            written.append(NULL)
        elif field == NULL or any(c in field for c in (QUOTE, DELIMITER, b"\n", b"\r")):
            written.append(QUOTE + field.replace(QUOTE, QUOTE + QUOTE) + QUOTE)
        else:
            written.append(field)
    return DELIMITER.join(written) + b"\n"


@pytest.mark.parametrize(
    "fields",
    [
        [b"\x01"],
        [b"", b"\x02", b""],
        [b"a", b"\x01\x02\x01", b"b"],
        [b"\x01\x01", b"\x02\x02"],
        [b"null", b"x"],
        [b"x\ny\r", b"", b"\n"],
        [b"", b"", b"\x01"],
        [None, b"null", None],
        [b"\x02", None],
    ],
)
def test_quoted_fields_come_back(fields: list[bytes | None]) -> None:
    assert unquote(csv_row(fields)) == fields


def test_any_mixture_of_special_bytes_comes_back() -> None:
    rng = random.Random(7)
    for _ in range(3_000):
        fields: list[bytes | None] = [
            rng.choice([None, b"null", bytes(rng.choices(b"\x01\x02\n\ra", k=rng.randrange(6)))])
            for _ in range(rng.randrange(1, 6))
        ]
        assert unquote(csv_row(fields)) == fields


def test_a_first_field_is_taken_and_the_rest_left_as_it_is() -> None:
    row = csv_row([b"a\x01\x02", b"\x02", b"b"])
    value, end = unquote_first(row)
    assert (value, row[end:]) == (b"a\x01\x02", b"\x01\x02\x01\x02b\n")
    assert unquote_first(row, end) == (b"\x02", row.index(b"b"))
