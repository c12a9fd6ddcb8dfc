from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page, registry, results
from benchmarks.errors import BenchmarkError
from benchmarks.results import Better, Result
from benchmarks.settings import Settings


def made(name: str, value: float, *, required: float | None = 1.0) -> Result:
    return Result(
        name=name,
        unit="s",
        value=value,
        required=required,
        better=Better.LOWER,
        ours=(value,),
        other=(2.0,),
    )


@pytest.mark.parametrize(
    ("value", "required", "better", "met"),
    [
        (0.78, 0.78, Better.HIGHER, True),
        (0.77, 0.78, Better.HIGHER, False),
        (16.0, 16.0, Better.LOWER, True),
        (16.1, 16.0, Better.LOWER, False),
        (16.1, None, Better.LOWER, None),
    ],
)
def test_met(value: float, required: float | None, better: Better, met: bool | None) -> None:
    found = Result(name="x", unit="", value=value, required=required, better=better, ours=(1.0,))
    assert found.met is met


def test_the_file_has_the_agreed_format_and_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.json"
    results.write(path, [made("cpu_python", 0.123456)], machine="a box", commit="abc")
    assert json.loads(path.read_text()) == {
        "machine": "a box",
        "commit": "abc",
        "sections": [
            {
                "name": "cpu_python",
                "unit": "s",
                "value": 0.1235,
                "required": 1.0,
                "better": "lower",
                "met": True,
                "runs": {"ours": [0.1235], "other": [2.0]},
            }
        ],
    }
    [back] = results.read(path)
    assert (back.name, back.value, back.met) == ("cpu_python", 0.1235, True)


def test_no_file_means_no_results(tmp_path: Path) -> None:
    assert results.read(tmp_path / "none.json") == []


@pytest.mark.parametrize(
    "change",
    [{"met": False}, {"runs": {"ours": [], "other": []}}, {"better": "more"}, {"note": "x"}],
)
def test_a_section_that_contradicts_itself_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "results.json"
    record = made("cpu_python", 0.5).to_json() | change
    path.write_text(json.dumps({"machine": "", "commit": "", "sections": [record]}))
    with pytest.raises(BenchmarkError):
        results.read(path)


def test_the_verdict_is_that_of_the_value_as_it_is_shown() -> None:
    rounded_to_its_bound = made("cpu_python", 1.00001)
    assert rounded_to_its_bound.met is True
    assert Result.from_json(rounded_to_its_bound.to_json()).met is True


def test_sections_that_were_not_run_keep_their_last_results() -> None:
    old = [made("rss_1m", 0.5), made("cpu_python", 3.0)]
    found = results.merged(old, [made("cpu_python", 0.5)], order=registry.NAMES)
    assert [(r.name, r.value) for r in found] == [("cpu_python", 0.5), ("rss_1m", 0.5)]


def test_every_section_is_registered_under_its_own_name() -> None:
    assert [registry.load(name).name for name in registry.NAMES] == list(registry.NAMES)


def test_choosing_sections() -> None:
    usual = [section.name for section in registry.chosen([], Settings())]
    assert "rss_1m" not in usual
    assert "copy_shared" in usual
    assert "rss_1m" in [section.name for section in registry.chosen([], Settings(full=True))]
    assert [s.name for s in registry.chosen(["rss_1m"], Settings())] == ["rss_1m"]
    with pytest.raises(BenchmarkError, match="no such section: speed"):
        registry.chosen(["speed"], Settings())


def test_the_page_keeps_what_is_around_the_generated_part(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- generated: begin -->\nold\n<!-- generated: end -->\nafter\n")
    sections = {name: registry.load(name) for name in registry.NAMES}
    found = [made("cpu_python", 0.5), made("rss_1m", 3.0)]
    notes: dict[str, dict[str, Any]] = {
        "rss_1m": {"notes": ["a million rows"], "table": []},
        "cpu_python": {"notes": [], "table": [["part", "us"], ["reading", "7"]]},
    }
    text = page.markdown(found, sections, machine="a box", commit="abc", notes=notes)
    page.replace_between(path, "generated", text)
    page.replace_between(path, "generated", text)
    lines = path.read_text().splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
    assert [line for line in lines if "`rss_1m`" in line and "**missed**" in line]
    assert "* `rss_1m`: a million rows." in lines
    assert lines[lines.index("| part | us |") :][:3] == [
        "| part | us |",
        "|---|---:|",
        "| reading | 7 |",
    ]
    with pytest.raises(BenchmarkError, match="put them back"):
        page.replace_between(path, "other", text)
