"""One task process among 1,000 tenants: what reading the DAG file costs above the imports."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.parsing import parse
from benchmarks.statistics import spread


def measure(rig: Rig) -> Measured:
    """Milliseconds."""
    found = [parse(rig, one=True) for _ in range(rig.settings.repeats)]
    ours = tuple(1000 * float(one["parse"]) for one in found)
    imports = 1000 * spread([float(one["imports"]) for one in found]).median
    note = f"the imports take {imports:.0f} ms in a process that has Airflow's task runner"
    return Measured(spread(ours).median, ours, (), (note,))


SECTION = Section(
    name="parse_task",
    title="DAG file in one task process, 1,000 tenants",
    unit="ms above imports",
    runs="ms",
    required=60.0,
    better=Better.LOWER,
    measure=measure,
)
