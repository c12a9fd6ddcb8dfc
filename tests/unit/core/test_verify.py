"""The proof: equal only if it is, and every difference named by its key."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from airflow_provider_logmigrate.core import verify
from airflow_provider_logmigrate.core.certificate import FindingKind, Verdict
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.errors import SourceUnavailable, TargetUnavailable
from airflow_provider_logmigrate.core.fingerprint import EXACT_BUCKET_ROWS, MINUTE, Bucket, Summary
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import KeyPrint
from airflow_provider_logmigrate.core.stream import Column, ColumnKind, Stream, StreamShape
from airflow_provider_logmigrate.core.verify import SAMPLE_PAGE, Proof, merge, prove
from tests.unit.core.building import HOUR, MONTH, Row, by_key, plan, rows
from tests.unit.core.fakes import FakeSource, FakeTarget, Stored

SHAPE = StreamShape(
    Stream("runs", "runs", "runs", "id", "at", "tenant_id"),
    (
        Column("at", ColumnKind.TIMESTAMP_TZ, "timestamptz"),
        Column("id", ColumnKind.KEYWORD, "varchar"),
        Column("text", ColumnKind.TEXT, "text", variable=True),
    ),
)


def stores(some: Sequence[Row]) -> tuple[FakeSource, FakeTarget]:
    """Both sides, equal."""
    target = FakeTarget()
    target.documents = {row.key: Stored(1, row.document()) for row in some}
    return FakeSource(by_key(some)), target


def proof(
    source: FakeSource,
    target: FakeTarget,
    *,
    sample: int = 0,
    rejected: Collection[str] = (),
    waived: Collection[str] = (),
    prints: bool = True,
    upper: datetime = MONTH.end,
) -> Proof:
    return prove(
        source=source,
        target=target,
        plan=plan(),
        upper=upper,
        rejected=rejected,
        waived=waived,
        prints=prints,
        comparer=RowComparer(SHAPE),
        sample=sample,
        seed=1,
    )


def found(result: Proof) -> set[tuple[str, str]]:
    return {(finding.kind.value, finding.key) for finding in result.tally.listed}


def test_equal_sides_are_equal() -> None:
    result = proof(*stores(rows(100)), sample=20)
    assert (result.verdict, result.tally.counts, result.sampled) == (Verdict.EQUAL, {}, 20)
    assert result.source.total == result.target.total
    assert result.source.total.count == 100


def test_two_empty_sides_are_equal() -> None:
    assert proof(*stores([]), sample=20).verdict is Verdict.EQUAL


def test_each_kind_of_difference_is_named() -> None:
    source, target = stores(rows(60))
    del target.documents["k00003"]
    del target.documents["k00010"]
    target.documents["k00020"] = Stored(1, replace(rows(60)[20], text="old").document())
    stray = Row("zz", MONTH.start + 30 * HOUR)
    target.documents["zz"] = Stored(1, stray.document())
    result = proof(source, target, rejected={"k00010"})
    assert result.verdict is Verdict.DIFFERENT
    assert found(result) == {
        ("missing", "k00003"),
        ("rejected", "k00010"),
        ("stale", "k00020"),
        ("extra", "zz"),
    }


def test_only_rejected_rows_missing_is_equal_but_rejected() -> None:
    source, target = stores(rows(60))
    del target.documents["k00010"]
    result = proof(source, target, rejected={"k00010", "k99999", "k00011"})
    assert result.verdict is Verdict.EQUAL_BUT_REJECTED
    assert found(result) == {("rejected", "k00010")}


def test_an_older_document_of_a_rejected_row_is_not_excused() -> None:
    source, target = stores(rows(5))
    target.documents["k00002"] = Stored(1, replace(rows(5)[2], text="old").document())
    result = proof(source, target, rejected={"k00002"})
    assert result.verdict is Verdict.DIFFERENT


def test_rows_from_the_upper_bound_on_are_not_compared() -> None:
    source, target = stores(rows(60))
    for n in range(40, 60):
        del target.documents[f"k{n:05d}"]
    assert proof(source, target, upper=MONTH.start + 40 * HOUR).verdict is Verdict.EQUAL
    assert proof(source, target, upper=MONTH.start + 41 * HOUR).verdict is Verdict.DIFFERENT


def test_unsettled_rows_are_no_difference() -> None:
    some = rows(20)
    source, target = stores(some)
    source.rows_by_key["k00005"] = replace(some[5], settled=False)
    del target.documents["k00005"]
    assert proof(source, target).verdict is Verdict.EQUAL


def listed_of(source: FakeSource) -> list[str]:
    """Takes down which keys the source lists from now on."""
    listed: list[str] = []
    whole = source.keys

    def keys(*given: Any, **of: Any) -> Iterator[KeyPrint]:
        for item in whole(*given, **of):
            listed.append(item.key)
            yield item

    source.keys = keys  # type: ignore[method-assign]
    return listed


def test_only_minutes_that_differ_are_listed() -> None:
    some = rows(600, step=MINUTE / 2)
    source, target = stores(some)
    del target.documents["k00003"]
    target.documents["k00500"] = Stored(1, replace(some[500], text="old").document())
    listed = listed_of(source)

    result = proof(source, target)

    assert found(result) == {("missing", "k00003"), ("stale", "k00500")}
    assert sorted(listed) == ["k00002", "k00003", "k00500", "k00501"]


def test_where_too_many_minutes_differ_whole_hours_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify, "MOST_MINUTES", 2)
    source, target = stores(rows(240, step=MINUTE))
    for gone in ("k00003", "k00005", "k00130"):
        del target.documents[gone]
    listed = listed_of(source)

    assert found(proof(source, target)) == {
        ("missing", "k00003"),
        ("missing", "k00005"),
        ("missing", "k00130"),
    }
    assert len(listed) == 120


def test_an_hour_is_listed_whole_if_no_minute_of_it_differs_any_more() -> None:
    """As when its sums are too big to be exact, and its minutes' sums are not."""
    source, target = stores(rows(240, step=MINUTE))
    del target.documents["k00003"]
    target.documents["k00130"] = Stored(1, replace(rows(131)[130], text="old").document())
    listed = listed_of(source)
    whole = target.minutes
    of_rows = source.summarise(plan(), upper=MONTH.end, minutes=True).buckets

    def minutes(unit: UnitPlan, *, hours: Sequence[datetime]) -> dict[datetime, Bucket]:
        first = MONTH.start + 3 * MINUTE
        return {**whole(unit, hours=hours), first: of_rows[first]}

    target.minutes = minutes  # type: ignore[assignment, method-assign]

    assert ("missing", "k00003") in found(proof(source, target))
    assert {f"k{n:05d}" for n in range(60)} <= set(listed)


@pytest.mark.parametrize("rejected", [frozenset[str](), frozenset({"k00010"})])
def test_a_document_that_has_moved_to_another_hour_is_found(rejected: frozenset[str]) -> None:
    """Both hours' sums differ, and side by side their keys and fingerprints agree."""
    some = rows(60)
    source, target = stores(some)
    for key in rejected:
        del target.documents[key]
    moved = some[20].document() | {"at": some[40].at.isoformat()}
    target.documents["k00020"] = Stored(1, moved)
    for prints in (True, False):
        result = proof(source, target, rejected=rejected, prints=prints)
        assert result.verdict is Verdict.DIFFERENT
        assert found(result) == {
            ("missing", "k00020"), ("extra", "k00020"), *(("rejected", key) for key in rejected),
        }  # fmt: skip
        assert result.tally.counts.get("rejected", 0) == len(rejected)


def test_numbers_alone_miss_what_a_fingerprint_sees() -> None:
    source, target = stores(rows(60))
    target.documents["k00020"] = Stored(1, replace(rows(60)[20], text="old").document())
    assert proof(source, target, prints=False).verdict is Verdict.EQUAL
    assert found(proof(source, target)) == {("stale", "k00020")}
    del target.documents["k00030"]
    assert found(proof(source, target, prints=False)) == {("missing", "k00030")}


def test_a_waived_row_is_no_difference_and_has_a_name_of_its_own() -> None:
    source, target = stores(rows(60))
    del target.documents["k00010"]
    del target.documents["k00011"]
    result = proof(source, target, rejected={"k00010"}, waived={"k00011"})
    assert result.verdict is Verdict.EQUAL_BUT_REJECTED
    assert found(result) == {("rejected", "k00010"), ("waived", "k00011")}
    target.documents["k00010"] = Stored(1, rows(60)[10].document())
    result = proof(source, target, waived={"k00011"})
    assert (result.verdict, result.tally.counts) == (Verdict.EQUAL_BUT_REJECTED, {"waived": 1})


def test_swapped_content_of_two_rows_in_one_hour_is_found() -> None:
    """The sums stay equal, and so does every fingerprint: the key is part of each."""
    some = rows(2, step=HOUR / 4)
    source, target = stores(some)
    first, second = (row.document() for row in some)
    target.documents = {"k00000": Stored(1, second), "k00001": Stored(1, first)}
    assert proof(source, target, sample=2).verdict is Verdict.DIFFERENT


def test_a_document_under_a_wrong_id_is_found_by_the_sample() -> None:
    """The fingerprints are those of the row, so the sums agree: it was skipped in silence."""
    source, target = stores(rows(3))
    target.documents["wrong"] = target.documents.pop("k00001")
    assert proof(source, target).verdict is Verdict.EQUAL
    result = proof(source, target, sample=10)
    assert result.verdict is Verdict.DIFFERENT
    assert found(result) == {("extra", "wrong")}


def test_an_extra_document_that_is_sampled_is_counted_once() -> None:
    source, target = stores(rows(3))
    target.documents["zz"] = Stored(1, Row("zz", MONTH.start).document())
    result = proof(source, target, sample=10)
    assert result.tally.counts == {"extra": 1}


def test_altered_content_behind_a_right_fingerprint_is_found_by_the_sample() -> None:
    source, target = stores(rows(3))
    target.documents["k00001"].content["text"] = "tampered"
    assert proof(source, target).verdict is Verdict.EQUAL
    result = proof(source, target, sample=10)
    assert found(result) == {("altered", "k00001")}
    assert result.tally.listed[0].detail == "text: row has 'text 1', document has 'tampered'"


def test_the_sample_is_compared_page_by_page() -> None:
    count = 2 * SAMPLE_PAGE + 5
    source, target = stores(rows(count))
    target.documents[f"k{count - 1:05d}"].content["text"] = "tampered"
    asked: list[int] = []
    fetch = source.rows

    def watched(unit: UnitPlan, keys: Sequence[str]) -> Any:
        asked.append(len(keys))
        return fetch(unit, keys)

    source.rows = watched  # type: ignore[assignment, method-assign]
    result = proof(source, target, sample=count)
    assert (result.sampled, result.tally.counts) == (count, {"altered": 1})
    assert max(asked) == SAMPLE_PAGE


def test_no_sample_from_an_index_with_documents_is_no_empty_result() -> None:
    source, target = stores(rows(3))
    target.sample = lambda *a, **k: []  # type: ignore[method-assign]
    with pytest.raises(TargetUnavailable, match="3 documents but returned none"):
        proof(source, target, sample=10)
    assert proof(source, target, sample=0).sampled == 0


def test_documents_without_event_time_are_extra() -> None:
    source, target = stores(rows(3))
    summarise = target.summarise
    target.summarise = lambda unit, **_: replace(summarise(unit), outside=2)  # type: ignore[method-assign]
    result = proof(source, target)
    assert result.verdict is Verdict.DIFFERENT
    assert "2 documents have no event time" in result.tally.listed[0].detail


def test_a_bucket_too_big_for_exact_sums_is_listed_whatever_its_sums() -> None:
    source, target = stores(rows(3))
    target.documents["k00001"] = Stored(1, replace(rows(3)[1], text="old").document())
    lie = Summary({MONTH.start + n * HOUR: Bucket(EXACT_BUCKET_ROWS + 1, 1, 1) for n in range(3)})
    source.summarise = lambda unit, **_: lie  # type: ignore[method-assign]
    target.summarise = lambda unit, **_: lie  # type: ignore[method-assign]
    assert found(proof(source, target)) == {("stale", "k00001")}


@pytest.mark.parametrize("place", ["source summary", "target summary"])
def test_an_outage_is_never_an_empty_result(place: str) -> None:
    source, target = stores(rows(3))
    error = SourceUnavailable("gone") if place.startswith("source") else TargetUnavailable("gone")

    def hook(here: str) -> None:
        if here == place:
            raise error

    source.hook = target.hook = hook
    with pytest.raises(type(error)):
        proof(source, target)


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_is_found_exactly(seed: int) -> None:
    rng = random.Random(seed)
    some = rows(rng.randrange(1, 150), step=HOUR / rng.choice([1, 7]))
    source, target = stores(some)
    wanted: set[tuple[str, str]] = set()
    rejected: set[str] = set()
    for row in some:
        chance = rng.random()
        if chance < 0.03:
            del target.documents[row.key]
            wanted.add(("missing", row.key))
        elif chance < 0.06:
            del target.documents[row.key]
            rejected.add(row.key)
            wanted.add(("rejected", row.key))
        elif chance < 0.09:
            target.documents[row.key] = Stored(1, replace(row, text="old").document())
            wanted.add(("stale", row.key))
        elif chance < 0.12:
            stray = replace(row, key=f"{row.key}-ü")
            target.documents[stray.key] = Stored(1, stray.document())
            wanted.add(("extra", stray.key))
    result = proof(source, target, rejected=rejected)
    assert found(result) == wanted
    kinds = {kind for kind, _ in wanted}
    if not kinds:
        assert result.verdict is Verdict.EQUAL
    elif kinds == {"rejected"}:
        assert result.verdict is Verdict.EQUAL_BUT_REJECTED
    else:
        assert result.verdict is Verdict.DIFFERENT


def prints(keys: str) -> list[KeyPrint]:
    return [KeyPrint(key, 1, 1) for key in keys.split()]


@pytest.mark.parametrize(
    ("left", "right", "pairs"),
    [
        ("", "", []),
        ("a", "", ["a-"]),
        ("", "a", ["-a"]),
        ("a b d", "b c d", ["a-", "bb", "-c", "dd"]),
        ("a", "a a", ["aa", "-a"]),
        ("a a", "a", ["aa", "a-"]),
        ("B a", "a b", ["B-", "aa", "-b"]),
        ("z ä", "z ä", ["zz", "ää"]),
        ("\uffff \U00010000", "\U00010000", ["\uffff-", "\U00010000\U00010000"]),
    ],
)
def test_merging_goes_by_the_keys_bytes(left: str, right: str, pairs: list[str]) -> None:
    merged = merge(iter(prints(left)), iter(prints(right)))
    assert [f"{a.key if a else '-'}{b.key if b else '-'}" for a, b in merged] == pairs


def test_merging_is_lazy() -> None:
    def endless() -> Any:
        n = 0
        while True:
            yield KeyPrint(f"{n:09d}", 1, 1)
            n += 1

    merged = merge(endless(), endless())
    assert all(a == b for a, b in (next(merged) for _ in range(1000)))


def test_a_document_that_stands_twice_is_a_duplicate() -> None:
    source, target = stores(rows(2))
    twice = target.keys

    def keys(unit: UnitPlan, **of: Any) -> Any:
        for item in twice(unit, **of):
            yield item
            yield item

    target.keys = keys  # type: ignore[assignment, method-assign]
    two = Summary(
        {h: b + b for h, b in target.summarise(plan()).buckets.items()},
    )
    target.summarise = lambda unit, **_: two  # type: ignore[method-assign]
    result = proof(source, target)
    assert found(result) == {("duplicate", "k00000"), ("duplicate", "k00001")}


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_side_that_lists_in_the_wrong_order_can_not_pass(side: str) -> None:
    source, target = stores(rows(4, step=HOUR / 10))
    target.documents["k00002"] = Stored(1, replace(rows(4)[2], text="old").document())
    store: Any = source if side == "source" else target
    listed = store.keys
    store.keys = lambda *a, **k: reversed(list(listed(*a, **k)))
    assert proof(source, target).verdict is Verdict.DIFFERENT


def test_memory_holds_no_list_of_differences() -> None:
    source, target = stores(rows(700))
    target.documents.clear()
    result = proof(source, target)
    assert result.tally.of(FindingKind.MISSING) == 700
    assert len(result.tally.listed) == 100


def test_a_row_without_a_column_is_an_error_not_a_pass() -> None:
    source, target = stores(rows(1))

    def cut(unit: UnitPlan, keys: Sequence[str]) -> Any:
        content: Mapping[str, str | None] = {"id": "k00000"}
        return iter([("k00000", content)])

    source.rows = cut  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyError):
        proof(source, target, sample=1)
