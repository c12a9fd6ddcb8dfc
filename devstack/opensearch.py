"""OpenSearch, the default engine of the dev stack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from devstack.engine import SearchEngine
from devstack.launcher import class_path, compile_classes
from devstack.paths import ENGINES


class OpenSearchServer(SearchEngine):
    """One OpenSearch 3.8 node with the modules of the distribution; no security plugin, no ISM."""

    name = "opensearch"
    title = "OpenSearch"

    def command(self, files: Sequence[Path]) -> list[str | Path]:
        """All modules are on one class path."""
        classes = compile_classes(ENGINES / "opensearch" / "Launcher.java", files)
        return [
            *self.java(),
            # The small Java from PyPI has no Thai, without which no analyzer can be made; the
            # second provider brings it.
            "-Djava.locale.providers=CLDR,SPI",
            "-Dslf4j.internal.verbosity=ERROR",
            *("-cp", class_path([classes, *files]), "Launcher", self.root),
        ]
