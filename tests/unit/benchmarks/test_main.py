"""A whole invocation, with sections that measure nothing real."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import page, registry, results
from benchmarks.__main__ import main
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.settings import Settings


def taking(name: str, value: float) -> Section:
    return Section(
        name=name,
        title="a test's",
        unit="s",
        runs="s",
        required=1.0,
        better=Better.LOWER,
        measure=lambda rig: Measured(value, (value,), (), ("a note",), (("a", "b"), ("x", "1"))),
    )


def broken(rig: Rig) -> Measured:
    rig.once("airflow", lambda: "a client of a server that is gone")
    raise ZeroDivisionError("the section's own mistake")


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Section]:
    found: list[Section] = []

    def chosen(only: Sequence[str], settings: Settings) -> list[Section]:
        return found

    shown = tmp_path / "page.md"
    shown.write_text("<!-- generated: begin -->\n<!-- generated: end -->\n")
    monkeypatch.setattr(page, "PAGE", shown)
    monkeypatch.setattr(registry, "chosen", chosen)
    return found


def test_a_section_that_fails_costs_no_other_one(
    sections: list[Section], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def after(rig: Rig) -> Measured:
        assert rig.once("airflow", lambda: "a new one") == "a new one"
        return Measured(2.0, (2.0,))

    failing = Section(
        name="unit_gap",
        title="",
        unit="ms",
        runs="ms",
        required=1.0,
        better=Better.LOWER,
        measure=broken,
    )
    late = Section(
        name="parse_task",
        title="",
        unit="ms",
        runs="ms",
        required=1.0,
        better=Better.LOWER,
        measure=after,
    )
    sections += [taking("cpu_python", 0.5), failing, late]
    assert main(["--root", str(tmp_path)]) == 2
    shown = capfd.readouterr()
    assert "unit_gap: ZeroDivisionError: the section's own mistake" in shown.err
    assert "missed: parse_task" in shown.out
    assert "not measured: unit_gap; again with make bench ONLY=unit_gap" in shown.out
    kept = results.read(tmp_path / "results.json")
    assert [(result.name, result.met) for result in kept] == [
        ("cpu_python", True),
        ("parse_task", False),
    ]


@pytest.mark.parametrize(("value", "code"), [(0.5, 0), (1.5, 1)])
def test_the_exit_code_says_whether_the_figures_are_met(
    sections: list[Section], tmp_path: Path, value: float, code: int
) -> None:
    sections.append(taking("cpu_python", value))
    assert main(["--root", str(tmp_path)]) == code
    assert "* `cpu_python`: a note." in page.PAGE.read_text()
    assert "| x | 1 |" in page.PAGE.read_text()


def test_figures_of_small_data_are_not_judged_and_not_put_on_the_page(
    sections: list[Section], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sections.append(taking("cpu_python", 1.5))
    assert main(["--root", str(tmp_path), "--scale", "0.1"]) == 0
    assert "missed:" not in capfd.readouterr().out
    assert "cpu_python" not in page.PAGE.read_text()
