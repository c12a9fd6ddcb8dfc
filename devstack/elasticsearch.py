"""Elasticsearch, the second engine: what is published of it as jars."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from devstack.engine import SearchEngine
from devstack.launcher import class_path, compile_classes
from devstack.paths import ENGINES

_SOURCES = ENGINES / "elasticsearch"


class ElasticsearchServer(SearchEngine):
    """
    One Elasticsearch 9.5 node.

    Not among the published jars, so missing here: painless, reindex and the by-query calls,
    ingest, ILM, data streams, ES|QL, security. Bulk, templates, aliases, searches and
    aggregations are whole.
    """

    name = "elasticsearch"
    title = "Elasticsearch"

    def command(self, files: Sequence[Path]) -> list[str | Path]:
        """Lay out ``lib`` and ``modules`` as the node expects them, by links into the jar cache."""
        launcher = compile_classes(_SOURCES / "Launcher.java", files)
        root_plugin = compile_classes(_SOURCES / "RootPlugin.java", files)
        for folder in ("lib", "modules", "plugins", "native"):
            shutil.rmtree(self.root / folder, ignore_errors=True)
            (self.root / folder).mkdir()
        library = self._lay_out(files, root_plugin)
        self._provide_zstd()
        return [
            *self.java(),
            "-Des.distribution.type=tar",
            f"-Des.nativelibs.path={self.root}/native",
            "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",
            *("-cp", class_path([launcher, *library]), "Launcher", self.root),
        ]

    def _lay_out(self, files: Sequence[Path], root_plugin: Path) -> list[Path]:
        transport = self.root / "modules" / "transport-netty4"
        root_module = self.root / "modules" / "devstack-root"
        transport.mkdir()
        root_module.mkdir()
        library = []
        for jar in files:
            # The node refuses a jar that is both on its class path and in a module.
            if jar.name.startswith(("netty-", "transport-netty4-")):
                _link(jar, transport / jar.name)
            elif not jar.name.startswith("ecj-"):
                library.append(_link(jar, self.root / "lib" / jar.name))
        descriptor = _describe_transport(transport)
        changes = {
            "name": "devstack-root",
            "classname": "devstack.RootPlugin",
            "description": "answers GET /",
        }
        for key, value in changes.items():
            descriptor = re.sub(rf"(?m)^{key}=.*$", f"{key}={value}", descriptor)
        (root_module / "plugin-descriptor.properties").write_text(descriptor)
        with zipfile.ZipFile(root_module / "devstack-root.jar", "w") as jar_file:
            for path in sorted(root_plugin.rglob("*.class")):
                jar_file.write(path, path.relative_to(root_plugin))
        return library

    def _provide_zstd(self) -> None:
        # The codec best_compression calls this library; the jars don't hold it.
        for folder in (Path("/usr/lib"), Path("/lib"), Path("/usr/lib64")):
            for library in (*folder.glob("*/libzstd.so.1"), *folder.glob("libzstd.so.1")):
                shutil.copy(library, self.root / "native" / "libzstd.so")
                return


def _describe_transport(transport: Path) -> str:
    """Unpack what the transport's jar says about it, and return its descriptor."""
    inside = "META-INF/es-plugins/transport-netty4"
    with zipfile.ZipFile(next(transport.glob("transport-netty4-*.jar"))) as archive:
        descriptor = archive.read(f"{inside}/plugin-descriptor.properties").decode()
        policy = archive.read(f"{inside}/entitlement-policy.yaml")
    # Loaded as a plain module: a named one would need the whole distribution's module graph.
    descriptor = re.sub(r"(?m)^modulename=.*$", "modulename=", descriptor)
    (transport / "plugin-descriptor.properties").write_text(descriptor)
    (transport / "entitlement-policy.yaml").write_bytes(policy)
    return descriptor


def _link(source: Path, target: Path) -> Path:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)
    return target
