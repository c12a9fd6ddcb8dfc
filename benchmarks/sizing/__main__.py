"""``python -m benchmarks.sizing``: write the sizing tables of docs/scaling.md anew.

``--measured`` first takes over what the last benchmark found (``build/bench/results.json``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.errors import BenchmarkError
from benchmarks.page import replace_between
from benchmarks.settings import Settings
from benchmarks.sizing import inputs
from benchmarks.sizing.table import markdown
from devstack.paths import CHECKOUT

PAGE = CHECKOUT / "docs" / "scaling.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; 2 if a file isn't as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=__doc__)
    parser.add_argument(
        "--measured", action="store_true", help="take over the last benchmark's figures first"
    )
    parser.add_argument("--results", type=Path, default=Settings().results)
    options = parser.parse_args(arguments)
    try:
        given = inputs.read()
        if options.measured:
            found = results.read(options.results)
            if not found:
                raise BenchmarkError(f"{options.results} has no results: run 'make bench' first")
            given = inputs.measured(given, found)
            inputs.write(given)
        replace_between(PAGE, "sizing", markdown(given))
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
