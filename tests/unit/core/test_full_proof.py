"""The full proof: whatever differs in any document is found, and named once."""

from __future__ import annotations

import json
import random
import threading
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from airflow_provider_logmigrate.core.certificate import FindingKind, Verdict
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.errors import (
    Interrupted,
    SourceUnavailable,
    TargetUnavailable,
)
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Framing, ReadRequest, SourceFinding
from airflow_provider_logmigrate.core.verify import Proof, prove
from tests.unit.core.building import HOUR, MONTH, Row, by_key, plan, rows
from tests.unit.core.fakes import FakeSource, FakeTarget, Stored
from tests.unit.core.test_verify import SHAPE, found, stores


def full_proof(
    source: FakeSource,
    target: FakeTarget,
    *,
    sample: int = 0,
    rejected: Collection[str] = (),
    upper: datetime = MONTH.end,
    stop: Stop | None = None,
) -> Proof:
    return prove(
        source=source,
        target=target,
        plan=plan(),
        upper=upper,
        rejected=rejected,
        comparer=RowComparer(SHAPE),
        sample=sample,
        seed=1,
        full=True,
        stop=stop,
    )


def test_equal_sides_are_equal_and_every_document_counts() -> None:
    result = full_proof(*stores(rows(100)), sample=20)
    assert (result.verdict, result.tally.counts, result.sampled) == (Verdict.EQUAL, {}, 100)


def test_two_empty_sides_are_equal() -> None:
    assert full_proof(*stores([])).verdict is Verdict.EQUAL


def test_nothing_is_compared_before_the_period_is_ripe() -> None:
    source, target = stores(rows(3))
    assert full_proof(source, target, upper=MONTH.start).sampled == 0
    assert source.requests == []


def test_each_kind_of_difference_is_named_once() -> None:
    some = rows(60)
    source, target = stores(some)
    del target.documents["k00003"]
    del target.documents["k00010"]
    target.documents["k00020"] = Stored(1, replace(some[20], text="old").document())
    target.documents["k00030"].content["text"] = "tampered"
    target.documents["k00040"].content["text"] = 40
    target.documents["k00050"].content["more"] = "of it"
    stray = Row("zz", MONTH.start + 30 * HOUR)
    target.documents["zz"] = Stored(1, stray.document())
    result = full_proof(source, target, rejected={"k00010"}, sample=100)
    assert result.verdict is Verdict.DIFFERENT
    assert sorted((f.kind.value, f.key) for f in result.tally.listed) == [
        ("altered", "k00030"),
        ("altered", "k00040"),
        ("altered", "k00050"),
        ("extra", "zz"),
        ("missing", "k00003"),
        ("rejected", "k00010"),
        ("stale", "k00020"),
    ]
    details = {f.key: f.detail for f in result.tally.listed}
    assert details["k00030"] == "text: the row gives 'text 30', document has 'tampered'"
    assert details["k00040"] == "text: the row gives 'text 40', document has 40"
    assert details["k00050"] == "more: the row gives 'nothing', document has 'of it'"


def test_only_rejected_rows_missing_is_equal_but_rejected() -> None:
    source, target = stores(rows(60))
    del target.documents["k00010"]
    result = full_proof(source, target, rejected={"k00010", "k99999"})
    assert result.verdict is Verdict.EQUAL_BUT_REJECTED
    assert result.sampled == 60


def test_a_document_under_a_wrong_id_is_found_from_both_ends() -> None:
    """Its hour's sums are right, so its hour isn't listed for them."""
    source, target = stores(rows(3))
    target.documents["wrong"] = target.documents.pop("k00001")
    result = full_proof(source, target)
    assert found(result) == {("missing", "k00001"), ("extra", "wrong")}


def test_a_lost_fingerprint_is_stale() -> None:
    source, target = stores(rows(3))
    asked = target.stored

    def without(unit: UnitPlan, keys: Sequence[str]) -> Mapping[str, bytes]:
        documents = {key: json.loads(document) for key, document in asked(unit, keys).items()}
        del documents["k00001"]["logmigrate"]
        return {key: json.dumps(document).encode() for key, document in documents.items()}

    target.stored = without  # type: ignore[assignment, method-assign]
    assert found(full_proof(source, target)) == {("stale", "k00001")}


@pytest.mark.parametrize(
    ("respelt", "same"),
    [
        (lambda text: text.replace(": ", ":  "), True),
        (lambda text: text.replace("+00:00", "Z"), True),
        (lambda text: text.replace("T", " "), True),
        (lambda text: json.dumps(dict(reversed(json.loads(text).items()))), True),
        (lambda text: text.replace(":00+00:00", ":01+00:00"), False),
        (lambda text: text.replace('"text 0"', "null"), False),
        (lambda text: text.replace('"text 0"', '["text 0"]'), False),
        (lambda _: "not JSON", False),
        (lambda _: "[1]", False),
        (lambda _: "[" * 100_000, False),
    ],
)
def test_another_spelling_is_no_difference_another_value_is(
    respelt: Callable[[str], str], same: bool
) -> None:
    source, target = stores(rows(1))
    asked = target.stored

    def spelt(unit: UnitPlan, keys: Sequence[str]) -> Mapping[str, bytes]:
        return {key: respelt(text.decode()).encode() for key, text in asked(unit, keys).items()}

    target.stored = spelt  # type: ignore[assignment, method-assign]
    result = full_proof(source, target)
    assert found(result) == (set() if same else {("altered", "k00000")})
    assert result.verdict is (Verdict.EQUAL if same else Verdict.DIFFERENT)


class WithContent(FakeSource):
    """Adds offloaded content to every document, or reports that it can't be read."""

    def __init__(self, some: Sequence[Row], contents: Mapping[str, str]) -> None:
        super().__init__(by_key(some))
        self.contents = contents

    def read(
        self,
        request: ReadRequest,
        *,
        framing: Framing,
        emit: Callable[[Chunk], None],
        report: Callable[[SourceFinding], None],
        stop: Stop,
    ) -> None:
        def resolved(chunk: Chunk) -> None:
            body = b""
            offsets: array[int] = array("Q")
            for position, key in enumerate(chunk.keys):
                document = chunk.document(position)
                if key in self.contents:
                    member = json.dumps({"text_offloaded": self.contents[key]})[1:].encode()
                    document = document[:-2] + b", " + member + b"\n"
                else:
                    report(SourceFinding("offload_missing", key, "text: no object a/b"))
                offsets.append(len(body))
                body += document
            emit(replace(chunk, body=body, offsets=offsets))

        super().read(request, framing=framing, emit=resolved, report=report, stop=stop)


def with_content(count: int) -> tuple[WithContent, FakeTarget]:
    some = rows(count)
    _, target = stores(some)
    for row in some:
        target.documents[row.key].content["text_offloaded"] = f"all of {row.key}"
    return WithContent(some, {row.key: f"all of {row.key}" for row in some}), target


def test_offloaded_content_is_compared() -> None:
    source, target = with_content(30)
    assert full_proof(source, target).verdict is Verdict.EQUAL
    target.documents["k00001"].content["text_offloaded"] = "none of it"
    del target.documents["k00020"].content["text_offloaded"]
    result = full_proof(source, target)
    assert found(result) == {("altered", "k00001"), ("altered", "k00020")}
    assert result.verdict is Verdict.DIFFERENT


def test_content_that_can_not_be_read_any_more_is_counted_and_decides_nothing() -> None:
    source, target = with_content(30)
    source.contents = {k: v for k, v in source.contents.items() if k not in ("k00003", "k00004")}
    del target.documents["k00004"].content["text_offloaded"]  # was missing at the copy already
    result = full_proof(source, target)
    assert result.verdict is Verdict.EQUAL
    assert found(result) == {("content", "k00003")}
    assert "text: no object a/b" in result.tally.listed[0].detail
    target.documents["k00003"].content["text"] = "tampered"
    assert full_proof(source, target).verdict is Verdict.DIFFERENT


def test_rows_that_vanish_meanwhile_make_it_no_proof() -> None:
    source, target = stores(rows(30))

    def hook(place: str) -> None:
        if place == "page":
            source.rows_by_key.pop("k00029", None)

    source.hook = hook
    with pytest.raises(SourceUnavailable, match="30 rows were counted, and a moment later 29"):
        full_proof(source, target)


def test_rows_that_settle_meanwhile_are_compared() -> None:
    some = rows(30)
    source, target = stores(some)
    source.rows_by_key["k00029"] = replace(some[29], settled=False)
    del target.documents["k00029"]

    def hook(place: str) -> None:
        if place == "page":
            source.rows_by_key["k00029"] = some[29]

    source.hook = hook
    assert found(full_proof(source, target)) == {("missing", "k00029")}


@pytest.mark.parametrize("place", ["page", "row", "read ends", "stored"])
def test_an_outage_is_never_an_empty_result(place: str) -> None:
    source, target = stores(rows(30))
    error = TargetUnavailable("gone") if place == "stored" else SourceUnavailable("gone")

    def hook(here: str) -> None:
        if here == place:
            raise error

    source.hook = target.hook = hook
    before = threading.active_count()
    with pytest.raises(type(error), match="gone"):
        full_proof(source, target)
    assert threading.active_count() == before


def test_a_stop_ends_it() -> None:
    source, target = stores(rows(300))
    stop = Stop()

    def hook(place: str) -> None:
        if place == "stored":
            stop.set("SIGTERM")

    target.hook = hook
    with pytest.raises(Interrupted, match="SIGTERM"):
        full_proof(source, target, stop=stop)


@pytest.mark.parametrize("seed", range(30))
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
            target.documents[row.key].content["text"] = rng.choice(["tampered", None, 1, True, []])
            wanted.add(("altered", row.key))
        elif chance < 0.15:
            stray = replace(row, key=f"{row.key}-ü")
            target.documents[stray.key] = Stored(1, stray.document())
            wanted.add(("extra", stray.key))
    result = full_proof(source, target, rejected=rejected, sample=len(target.documents))
    assert found(result) == wanted
    assert sum(result.tally.counts.values()) == len(wanted)


def test_memory_holds_no_list_of_differences() -> None:
    source, target = stores(rows(700))
    for stored in target.documents.values():
        stored.content["text"] = "tampered"
    result = full_proof(source, target)
    assert result.tally.of(FindingKind.ALTERED) == 700
    assert len(result.tally.listed) == 100


def test_a_source_that_frames_without_the_key_line_is_an_error_not_a_pass() -> None:
    source, target = stores(rows(3))

    def read(request: ReadRequest, *, emit: Callable[[Chunk], None], **_: Any) -> None:
        emit(Chunk(0, b"{}", array("Q", [0]), ("k00000",), None))

    source.read = read  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="subsection not found"):
        full_proof(source, target)
