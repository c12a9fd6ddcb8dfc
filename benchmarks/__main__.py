"""``python -m benchmarks``: measure, print the table, write the results; see ``--help``."""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks import machine, page, registry, results
from benchmarks.errors import BenchmarkError
from benchmarks.rig import Rig
from benchmarks.section import Section
from benchmarks.settings import Settings
from devstack.errors import DevstackError

WIDTH = 160
"""Of the table where no terminal says how wide it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure. 0: every required figure is met, 1: one is missed, 2: one couldn't be taken."""
    options = _parser().parse_args(arguments)
    settings = Settings(
        root=options.root or Settings().root / ("" if options.scale >= 1 else "small"),
        scale=options.scale,
        repeats=options.repeats,
        full=options.full,
    )
    console = Console(stderr=True)
    try:
        sections = registry.chosen(options.only, settings)
        with _alone(settings.root):
            return _measure(sections, settings, console)
    except (BenchmarkError, DevstackError) as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 2


def _measure(sections: list[Section], settings: Settings, console: Console) -> int:
    described, commit = machine.describe(), machine.commit()
    notes_file = settings.root / "told.json"
    notes = json.loads(notes_file.read_text()) if notes_file.exists() else {}
    by_name = {name: registry.load(name) for name in registry.NAMES}
    began = time.monotonic()
    fresh: list[results.Result] = []
    failed: list[str] = []
    kept = results.read(settings.results)
    with Rig(settings, lambda text: _say(console, began, text)) as rig:
        for section in sections:
            _say(console, began, section.name)
            started = time.monotonic()
            try:
                measured = section.measure(rig)
            except Exception as error:  # noqa: BLE001 - shown; the others' minutes aren't lost
                failed.append(section.name)
                text = f"{section.name}: {type(error).__name__}: {error}"
                console.print(text, style="red", markup=False, soft_wrap=True)
                rig.reset()
                continue
            took = time.monotonic() - started
            fresh.append(section.result(measured))
            notes[section.name] = {
                "notes": list(measured.notes),
                "table": list(measured.table),
                "seconds": round(took),
            }
            kept = results.merged(kept, fresh, order=registry.NAMES)
            results.write(settings.results, kept, machine=described, commit=commit)
            notes_file.write_text(json.dumps(notes, indent=1) + "\n")
    shown = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    shown.print(page.terminal(fresh, by_name))
    for result in fresh:
        told = notes[result.name]
        for note in (*told["notes"], *(" | ".join(line) for line in told["table"])):
            shown.print(f"{result.name}: {note}", markup=False, highlight=False)
    shown.print(f"{described}; {time.monotonic() - began:.0f} s; {settings.results}")
    shown.print(_times({name: notes[name]["seconds"] for name in (r.name for r in fresh)}))
    if missed := [result.name for result in fresh if result.met is False and settings.judged]:
        shown.print(f"missed: {', '.join(missed)}", style="red")
    if failed:
        again = f"make bench ONLY={','.join(failed)}"
        shown.print(f"not measured: {', '.join(failed)}; again with {again}", style="red")
    if not settings.judged:
        return 2 if failed else 0
    ordered = {name: notes[name] for name in registry.NAMES if name in notes}
    text = page.markdown(kept, by_name, machine=described, commit=commit, notes=ordered)
    page.replace_between(page.PAGE, "generated", text)
    if failed:
        return 2
    return 1 if any(result.met is False for result in fresh) else 0


def _times(seconds: Mapping[str, int]) -> str:
    """Where the minutes went."""
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    return "seconds: " + ", ".join(f"{name} {took}" for name, took in longest)


def _say(console: Console, began: float, text: str) -> None:
    console.print(
        f"[{time.monotonic() - began:5.0f} s, load {machine.busy_cores():.1f}] {text}",
        markup=False,
        highlight=False,
    )


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchmarkError(
                f"another benchmark uses {root}: wait until it has ended"
            ) from None
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", type=_names, default=[], help="sections, separated by commas; default: all"
    )
    parser.add_argument("--full", action="store_true", help="with the run of a million rows")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs per comparison")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="factor on the amounts of data; below 1 nothing is judged or put on the page",
    )
    parser.add_argument("--root", type=Path, help="folder of servers, data and results")
    return parser


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


if __name__ == "__main__":
    sys.exit(main())
