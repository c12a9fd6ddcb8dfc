"""Refused documents: kept byte for byte, once per key, by the newest attempt only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Rejected
from airflow_provider_logmigrate.ledger.dead_letters import Choice, LetterState
from airflow_provider_logmigrate.ledger.ledger import Ledger
from tests.unit.core.building import certified

BYTES = b'{"a":"\xff\xfe\x00 not UTF-8","b":"\\u0000"}\n'


def refused(key: str, *, reason: str = "no", document: bytes = BYTES) -> Rejected:
    return Rejected(key, 400, "mapper_parsing_exception", reason, document)


@pytest.fixture
def claimed(ledger: Ledger, unit: UnitPlan) -> Ledger:
    ledger.units.claim("dify", unit, attempt=1, holder="run 1")
    return ledger


def test_a_document_is_kept_byte_for_byte(claimed: Ledger, unit: UnitPlan) -> None:
    claimed.dead_letters.add("dify", unit, [refused("k")], attempt=1)

    (letter,) = claimed.dead_letters.list("dify")
    assert claimed.dead_letters.document(letter.id) == BYTES
    assert (letter.unit, letter.key, letter.index) == (unit.key, "k", unit.index)
    assert (letter.status, letter.kind) == (400, "mapper_parsing_exception")
    assert (letter.size, letter.state, letter.attempt) == (len(BYTES), LetterState.OPEN, 1)
    assert claimed.dead_letters.document(letter.id + 1) is None


def test_adding_again_is_idempotent_and_keeps_the_newest(claimed: Ledger, unit: UnitPlan) -> None:
    claimed.dead_letters.add("dify", unit, [refused("a"), refused("b")], attempt=1)
    claimed.dead_letters.add(
        "dify", unit, [refused("b", reason="first"), refused("b", reason="second")], attempt=1
    )

    letters = claimed.dead_letters.list("dify", Choice(units=[unit.key]))
    assert [(letter.key, letter.reason) for letter in letters] == [("a", "no"), ("b", "second")]
    assert claimed.dead_letters.counts("dify") == {unit.key: 2}


def test_many_at_once(claimed: Ledger, unit: UnitPlan) -> None:
    claimed.dead_letters.add("dify", unit, [refused(f"k{n}") for n in range(3000)], attempt=1)

    assert len(claimed.dead_letters.unresolved("dify", unit.key).rejected) == 3000
    assert len(claimed.dead_letters.list("dify", limit=10)) == 10


def test_an_old_attempt_adds_nothing(claimed: Ledger, unit: UnitPlan) -> None:
    claimed.units.claim("dify", unit, attempt=2, holder="retry")

    with pytest.raises(Fenced, match="attempt 1 was taken over by attempt 2"):
        claimed.dead_letters.add("dify", unit, [refused("k")], attempt=1)
    with pytest.raises(Fenced, match="doesn't know the unit"):
        claimed.dead_letters.add("elsewhere", unit, [refused("k")], attempt=2)

    assert claimed.dead_letters.unresolved("dify", unit.key).rejected == set()
    assert [entry.action for entry in claimed.history.list()] == ["unit.claimed"] * 2


def prove(ledger: Ledger, unit: UnitPlan, arrived: Sequence[str], *, proof: str = "c-1") -> None:
    """Keep the certificate of a proof that has found these documents."""
    ledger.certificates.save("dify", certified(unit, id=proof), arrived=arrived)


def test_a_key_that_got_through_is_redriven_and_may_be_refused_again(
    claimed: Ledger, unit: UnitPlan
) -> None:
    claimed.dead_letters.add("dify", unit, [refused("a"), refused("b")], attempt=1)

    prove(claimed, unit, ["a", "never refused"])
    prove(claimed, unit, ["a"], proof="c-2")
    assert claimed.dead_letters.unresolved("dify", unit.key).rejected == {"b"}
    (done,) = claimed.dead_letters.list("dify", state=LetterState.REDRIVEN)
    assert done.key == "a"
    redriven = [e for e in claimed.history.list() if e.action == "dead_letters.redriven"]
    assert [entry.detail["count"] for entry in redriven] == [1]

    claimed.dead_letters.add("dify", unit, [refused("a")], attempt=1)
    assert claimed.dead_letters.unresolved("dify", unit.key).rejected == {"a", "b"}
    prove(claimed, unit, ["a"], proof="c-2")
    assert claimed.dead_letters.unresolved("dify", unit.key).rejected == {"a", "b"}, "said before"


def test_units_do_not_share_letters(claimed: Ledger, unit: UnitPlan) -> None:
    other = replace(unit, unit=replace(unit.unit, tenant="zoo"))
    claimed.units.claim("dify", other, attempt=1, holder="run 1")
    claimed.dead_letters.add("dify", unit, [refused("k")], attempt=1)
    claimed.dead_letters.add("dify", other, [refused("k")], attempt=1)

    prove(claimed, other, ["k"])
    assert claimed.dead_letters.counts("dify") == {unit.key: 1}


def test_hostile_keys_and_reasons(claimed: Ledger, unit: UnitPlan) -> None:
    """Longer than an index entry may be, with NUL, half characters, quotes and wildcards."""
    keys = ["x" * 20_000, "nul\0l", "nul\u2400l", "half\ud800", "'; DROP TABLE x; --", "%(a)s {}"]
    claimed.dead_letters.add(
        "dify", unit, [refused(key, reason="why\0" + "y" * 9000) for key in keys], attempt=1
    )

    letters = claimed.dead_letters.list("dify")
    assert [letter.key for letter in letters] == [
        "x" * 20_000,
        "nul\u2400l",
        "nul\u2400l",
        "half\\ud800",
        "'; DROP TABLE x; --",
        "%(a)s {}",
    ]
    assert {letter.reason for letter in letters} == {"why\u2400" + "y" * 1995 + "…"}
    prove(claimed, unit, keys)
    assert len(claimed.dead_letters.list("dify", state=LetterState.REDRIVEN)) == len(keys)
