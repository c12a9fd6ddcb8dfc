"""Shows how far several parts are that are made ready at the same time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

Report = Callable[[str, str, float | None], None]
"""Called with a part's name, what it is doing, and the share done (0 to 1; None: unknown)."""


@contextlib.contextmanager
def shown_progress(console: Console) -> Iterator[Report]:
    """A line with a bar for each part; where nobody watches, a plain line when one is ready."""
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[doing]:<26}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    known: dict[str, TaskID] = {}
    lock = threading.Lock()

    def report(part: str, doing: str, done: float | None) -> None:
        with lock:
            if part not in known:
                known[part] = bars.add_task(part, total=None, doing=doing)
            task = known[part]
            # Without a total a bar only moves from side to side.
            bars.update(task, total=None if done is None else 1.0, completed=done, doing=doing)
            if not console.is_terminal and doing.startswith("ready"):
                console.print(f"{part}: {doing}", highlight=False)

    with bars:
        yield report


@contextlib.contextmanager
def timed(part: str, report: Report, *, result: Callable[[], str] = str) -> Iterator[None]:
    """
    Report a part as starting, and as ready with the seconds it took.

    :param result: more to say in the end, asked for when it is ready.
    """
    began = time.monotonic()
    report(part, "starting", None)
    yield
    more = result()
    seconds = f"ready in {time.monotonic() - began:.1f} s"
    report(part, f"{seconds}, {more}" if more else seconds, 1.0)
