"""The chance of a sample, against exact binomials, against drawing, and as the page shows it."""

from __future__ import annotations

import random
from math import comb

import pytest

from airflow_provider_logmigrate.core.chance import chance_to_miss
from tests.docs.pages import page


@pytest.mark.parametrize(
    ("documents", "altered", "sample"),
    [(10, 1, 1), (10, 3, 5), (10, 9, 1), (1000, 10, 100), (100_000, 1000, 500), (5, 5, 0)],
)
def test_it_is_the_share_of_samples_without_an_altered_document(
    documents: int, altered: int, sample: int
) -> None:
    exact = comb(documents - altered, sample) / comb(documents, sample)
    found = chance_to_miss(documents=documents, altered=altered, sample=sample)
    assert found == pytest.approx(exact, rel=1e-12)


def test_a_sample_of_all_misses_nothing_and_huge_numbers_stay_exact_enough() -> None:
    assert chance_to_miss(documents=60, altered=1, sample=60) == 0.0
    assert chance_to_miss(documents=60, altered=0, sample=60) == 1.0
    huge = chance_to_miss(documents=10**9, altered=1, sample=100)
    assert huge == pytest.approx(1 - 1e-7, abs=1e-15)


def test_drawing_agrees() -> None:
    rng = random.Random(7)
    missed = sum(min(rng.sample(range(50), 10)) >= 3 for _ in range(20_000)) / 20_000
    assert missed == pytest.approx(chance_to_miss(documents=50, altered=3, sample=10), abs=0.02)


@pytest.mark.parametrize(("altered", "sample"), [(-1, 1), (11, 1), (1, 11), (1, -1)])
def test_impossible_numbers_are_refused(altered: int, sample: int) -> None:
    with pytest.raises(ValueError, match="of 10 documents"):
        chance_to_miss(documents=10, altered=altered, sample=sample)


def test_the_table_of_the_page_is_computed_by_it() -> None:
    text = page("docs/concepts/proof.md").text
    rows = text.partition("| N documents | sample n |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(rows) == 6
    for row in rows:
        documents, sample, *shown = [
            cell.strip().replace(",", "") for cell in row.strip("|").split("|")
        ]
        for altered, percent in zip((1, 10, 100, 1000), shown, strict=True):
            chance = chance_to_miss(documents=int(documents), altered=altered, sample=int(sample))
            assert percent == f"{100 * chance:.1f} %", row
