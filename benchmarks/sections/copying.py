"""Copies that several sections look at, each made once in an invocation."""

from __future__ import annotations

from benchmarks.child import Cost
from benchmarks.rig import Rig


def rate(cost: Cost) -> float:
    """Documents per second."""
    return float(cost.found["rows"] / cost.seconds)


def copies(rig: Rig) -> list[Cost]:
    """Our copies on shared cores: those of an earlier section, else new ones."""
    done: list[Cost] = rig.once("copies", list)
    while len(done) < rig.settings.repeats:
        another(rig)
    return done


def another(rig: Rig) -> Cost:
    """One more of them, now."""
    rig.engine  # noqa: B018 - started and warm before the first copy
    cost = rig.copy()
    rig.once("copies", list[Cost]).append(cost)
    return cost
