"""One pass over a table without an index, for all tenants, against keyset reads along an index."""

from __future__ import annotations

from typing import Any

from benchmarks.child import Cost
from benchmarks.errors import BenchmarkError
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import rate
from benchmarks.sections.pairs import interleaved
from benchmarks.statistics import paired_ratio, spread

SWEPT, INDEXED = "old", "old_indexed"
"""The same rows in the schema of an old installation, without and with the index."""
LEDGER = "sweeps"
UNBOUNDED = 600.0
"""Seconds, more than anything here takes."""


def measure(rig: Rig) -> Measured:
    """The rate as a share of keyset's: reading alone, or whole copies if those are slower."""
    reading = interleaved(
        rig.settings.repeats,
        ours=lambda: rate(sweep_read(rig, SWEPT, budget=UNBOUNDED)),
        other=lambda: rate(_keyset_read(rig)),
    )
    copying = interleaved(
        rig.settings.repeats,
        ours=lambda: rate(_sweep(rig)),
        other=lambda: rate(_keyset(rig)),
    )
    notes = tuple(
        f"{what}: {spread(ours).median:,.0f} rows/s against {spread(other).median:,.0f}, "
        f"{paired_ratio(ours, other):.2f} of it"
        for what, (ours, other) in (("reading alone", reading), ("whole copies", copying))
    )
    ours, other = min(reading, copying, key=lambda pair: paired_ratio(*pair))
    return Measured(paired_ratio(ours, other), ours, other, notes)


def sweep_read(rig: Rig, name: str, *, budget: float) -> Cost:
    """Read a data set's table by its blocks, into nothing."""
    return rig.run(_job(rig, name, whole=False, budget=budget))


def _sweep(rig: Rig) -> Cost:
    return _whole(rig, rig.run(_job(rig, SWEPT, whole=True)))


def _job(rig: Rig, name: str, **more: Any) -> dict[str, Any]:
    rig.ledger.drop_database(LEDGER)  # what it calls copied isn't swept
    return rig.job("sweep", rig.datasets.get(name), ledger=LEDGER, **more)


def _keyset_read(rig: Rig) -> Cost:
    data = rig.datasets.get(INDEXED)
    job = rig.job("read", data, url="", tenants=list(data.tenants), budget=UNBOUNDED)
    return rig.run(job | {"strategy": "keyset"})


def _keyset(rig: Rig) -> Cost:
    data = rig.datasets.get(INDEXED)
    job = rig.job("copy", data, tenants=list(data.tenants), strategy="keyset")
    return _whole(rig, rig.run(job))


def _whole(rig: Rig, cost: Cost) -> Cost:
    """Both copies must have written the same number of documents."""
    rows = rig.once("rows of old", lambda: cost.found["rows"])
    if cost.found["rejected"] or cost.found["rows"] != rows or not rows:
        raise BenchmarkError(f"a copy of {SWEPT} isn't whole: {cost.found}, {rows} rows wanted")
    return cost


SECTION = Section(
    name="sweep",
    title="sweep of all tenants against keyset with an index, reading or copying, the worse one",
    unit="of keyset",
    runs="rows/s",
    required=0.85,
    better=Better.HIGHER,
    measure=measure,
)
