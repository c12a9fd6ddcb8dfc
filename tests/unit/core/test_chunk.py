"""Chunks: bounded, complete, in order; parts of them can be sent again."""

from __future__ import annotations

import random

import pytest

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.chunk import Chunk, Chunker

END = Cursor("t", "end")


def fill(documents: list[bytes], *, max_bytes: int, max_count: int = 20_000) -> list[Chunk]:
    chunks: list[Chunk] = []
    chunker = Chunker(chunks.append, max_bytes=max_bytes, max_count=max_count)
    for n, document in enumerate(documents):
        if chunker.add(document, f"k{n}"):
            chunker.cut(Cursor("t", f"k{n}"))
    chunker.cut(END)
    assert chunker.rows == len(documents)
    return chunks


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_lost_and_every_bound_holds(seed: int) -> None:
    rng = random.Random(seed)
    documents = [rng.randbytes(rng.choice([0, 1, 20, 300])) for _ in range(rng.randrange(1, 200))]
    most, count = rng.randint(1, 500), rng.randint(1, 30)
    chunks = fill(documents, max_bytes=most, max_count=count)
    assert b"".join(chunk.body for chunk in chunks) == b"".join(documents)
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    again = [chunk.document(n) for chunk in chunks for n in range(chunk.count)]
    assert again == documents
    assert [key for chunk in chunks for key in chunk.keys] == [
        f"k{n}" for n in range(len(documents))
    ]
    for chunk in chunks:
        assert 1 <= chunk.count <= count
        assert len(chunk.body) - len(chunk.document(chunk.count - 1)) < most
    assert all(chunk.cursor == Cursor("t", chunk.keys[-1]) for chunk in chunks[:-1])


def test_a_document_larger_than_the_bound_travels_alone() -> None:
    chunks = fill([b"a", b"B" * 1000, b"c"], max_bytes=100)
    assert [chunk.count for chunk in chunks] == [2, 1]
    assert chunks[0].document(1) == b"B" * 1000


def test_cutting_nothing_emits_nothing() -> None:
    chunks: list[Chunk] = []
    chunker = Chunker(chunks.append, max_bytes=10)
    chunker.cut(END)
    chunker.add(b"a", "k")
    chunker.cut(None)
    chunker.cut(END)
    assert [(chunk.keys, chunk.cursor) for chunk in chunks] == [(("k",), None)]


def test_an_emit_that_fails_is_told_and_nothing_is_emitted_twice() -> None:
    emitted: list[Chunk] = []

    def emit(chunk: Chunk) -> None:
        emitted.append(chunk)
        if chunk.sequence == 0:
            raise OSError("blocked")

    chunker = Chunker(emit, max_bytes=1)
    assert chunker.add(b"a", "a")
    with pytest.raises(OSError, match="blocked"):
        chunker.cut(END)
    chunker.add(b"b", "b")
    chunker.cut(END)
    assert [chunk.keys for chunk in emitted] == [("a",), ("b",)]


def test_a_chunk_keeps_its_offsets_when_the_next_one_is_filled() -> None:
    first, second = fill([b"aa", b"b", b"ccc"], max_bytes=3)
    assert (list(first.offsets), list(second.offsets)) == ([0, 2], [0])
    assert [first.document(0), first.document(1)] == [b"aa", b"b"]


@pytest.mark.parametrize("positions", [[], [0], [2], [0, 2], [1, 2], [0, 1, 2, 3]])
def test_a_subset_holds_exactly_the_chosen_documents(positions: list[int]) -> None:
    (whole,) = fill([b"first", b"", b"third", b"4"], max_bytes=1000)
    part = whole.subset(iter(positions))
    assert part.keys == tuple(whole.keys[n] for n in positions)
    assert [part.document(n) for n in range(part.count)] == [whole.document(n) for n in positions]
    assert part.body == b"".join(whole.document(n) for n in positions)
    assert (part.sequence, part.cursor) == (whole.sequence, whole.cursor)
    assert part.subset(range(part.count)) == part


def test_a_limit_that_changes_counts_from_the_next_chunk_on() -> None:
    limit = 3
    chunks: list[Chunk] = []

    def emit(chunk: Chunk) -> None:
        nonlocal limit
        chunks.append(chunk)
        limit = {0: 6, 1: 2}.get(chunk.sequence, limit)

    chunker = Chunker(emit, max_bytes=lambda: limit)
    for n in range(14):
        if chunker.add(b"x", f"k{n}"):
            chunker.cut(END)
    assert [chunk.count for chunk in chunks] == [3, 6, 2, 2]
