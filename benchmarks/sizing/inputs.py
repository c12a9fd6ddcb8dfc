"""The figures a sizing starts from: one file, each with its kind and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.results import Result
from benchmarks.statistics import spread

FILE = Path(__file__).with_name("inputs.json")


class Kind(str, Enum):
    """How much a figure is to be trusted."""

    MEASURED = "measured"
    SETTING = "setting"
    LIMIT = "limit"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One figure.

    :param section: of the benchmark that measures it; empty if none does.
    :param figure: which figure of that section: its ``value``, or the median of ``ours``.
    """

    name: str
    value: float
    unit: str
    kind: Kind
    section: str
    figure: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The values by name, for the formulas."""

    engine_rate: float
    python_us: float
    postgres_us: float
    proof_share: float
    parse_1000: float
    sweep_rate: float
    document_bytes: float
    index_bytes: float
    ledger_bytes: float
    lane_mb: float
    node_cores: float
    node_disk_gb: float
    busy: float
    window_hours: float
    kept_days: float
    copies: float
    streams: float
    largest_tenant: float
    in_flight: float
    tenant_dags: float
    node_shards: float
    shard_gb: float
    shard_documents: float
    heap_gb: float
    hour_rows: float
    import_seconds: float
    task_hours: float


def read(path: Path = FILE) -> list[Input]:
    """The file's figures, in its order. :raises BenchmarkError: one is missing or too many."""
    stored: list[Mapping[str, Any]] = json.loads(path.read_text())["inputs"]
    found = [Input(**{**entry, "kind": Kind(entry["kind"])}) for entry in stored]
    wanted = {field.name for field in fields(Figures)}
    if {one.name for one in found} != wanted or len(found) != len(wanted):
        raise BenchmarkError(f"{path} must have each of these once: {', '.join(sorted(wanted))}")
    return found


def figures(inputs: Iterable[Input]) -> Figures:
    """Their values."""
    return Figures(**{one.name: one.value for one in inputs})


def measured(inputs: Iterable[Input], results: Iterable[Result]) -> list[Input]:
    """The same with what the benchmark found; sections that it left out keep their figures."""
    by_name = {result.name: result for result in results}
    return [
        replace(one, value=_figure(by_name[one.section], one.figure))
        if one.section in by_name
        else one
        for one in inputs
    ]


def write(inputs: Iterable[Input], path: Path = FILE) -> None:
    """Write the file, a figure in three lines."""
    entries = []
    for one in inputs:
        record = asdict(one) | {"kind": one.kind.value}
        head = {name: record[name] for name in ("name", "value", "unit")}
        origin = {name: record[name] for name in ("kind", "section", "figure")}
        lines = [json.dumps(part)[1:-1] for part in (head, origin, {"meaning": one.meaning})]
        entries.append("  {" + ",\n   ".join(lines) + "}")
    path.write_text('{\n "inputs": [\n' + ",\n".join(entries) + "\n ]\n}\n")


def _figure(result: Result, figure: str) -> float:
    found = result.value if figure == "value" else spread(result.ours).median
    return float(f"{found:.3g}")
