"""Text and JSON that PostgreSQL can keep."""

from __future__ import annotations

import json

import pytest

from airflow_provider_logmigrate.ledger.text import (
    MAX_TEXT,
    cut,
    key_digest,
    storable,
    storable_json,
)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("plain ünïcode 😀", "plain ünïcode 😀"),
        ("a\0b\0", "a␀b␀"),
        ("lone \udc80", "lone \\udc80"),
    ],
)
def test_storable_text(given: str, kept: str) -> None:
    assert storable(given) == kept
    assert storable(kept) == kept


@pytest.mark.parametrize("length", [0, MAX_TEXT - 1, MAX_TEXT])
def test_text_that_fits_is_not_cut(length: int) -> None:
    assert cut("x" * length) == "x" * length


def test_a_cut_shows() -> None:
    assert cut("x" * (MAX_TEXT + 1)) == "x" * (MAX_TEXT - 1) + "…"


def test_storable_json_reaches_every_text_and_stays_valid() -> None:
    given = {"k\0": ["\0", {"deep": ("\ud800", float("inf"), float("nan"))}], "n": [1, 1.5, None]}

    kept = storable_json(given)

    assert kept == {"k␀": ["␀", {"deep": ["\\ud800", "inf", "nan"]}], "n": [1, 1.5, None]}
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept


def test_digests_tell_keys_apart_that_are_stored_alike() -> None:
    keys = ["a\0", "a␀", "a\ud800", "a\\ud800", "a"]

    assert len({key_digest(key) for key in keys}) == len(keys)
