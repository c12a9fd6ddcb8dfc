from __future__ import annotations

from pathlib import Path

import pytest

from devstack import jars
from devstack.errors import DevstackError
from devstack.paths import ENGINES

SMALL = "args4j:args4j:2.33 91ddeaba0b24adce72291c618c00bbdce1c884755f6c4dba9c5c46e871c69ed6"
WRONG = "args4j:args4j:2.33 " + "0" * 64


def lock(folder: Path, *lines: str) -> Path:
    path = folder / "some.lock"
    path.write_text("# a comment\n\n" + "\n".join(lines) + "\n")
    return path


def test_a_damaged_jar_is_fetched_again(tmp_path: Path) -> None:
    into = tmp_path / "jars"
    seen: list[tuple[int, int]] = []
    wanted = lock(tmp_path, SMALL)
    (first,) = jars.fetch(wanted, into=into, on_progress=lambda *step: seen.append(step))
    content = first.read_bytes()
    first.write_bytes(content[:-1])
    (second,) = jars.fetch(wanted, into=into)
    assert second.read_bytes() == content
    assert seen == [(1, 1)]
    assert [path.name for path in into.iterdir()] == ["args4j-2.33.jar"]


def test_a_jar_other_than_locked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DevstackError, match=r"not the file of the lock: sha256 91ddeaba"):
        jars.fetch(lock(tmp_path, WRONG), into=tmp_path / "jars")
    assert list((tmp_path / "jars").iterdir()) == []


def test_without_a_network_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(DevstackError, match=r"args4j-2\.33\.jar .*set HTTPS_PROXY"):
        jars.fetch(lock(tmp_path, SMALL), into=tmp_path / "jars")


@pytest.mark.parametrize("line", ["args4j:args4j 12", "a:b:1:c:d " + "0" * 64, "a:b:1"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(DevstackError, match=r"some\.lock, line 3"):
        jars.read_lock(lock(tmp_path, line))


def test_a_classifier_is_part_of_the_file_name(tmp_path: Path) -> None:
    (jar,) = jars.read_lock(lock(tmp_path, "g:a:1.0:linux " + "0" * 64))
    assert jar.file_name == "a-1.0-linux.jar"


@pytest.mark.parametrize("engine", ["opensearch", "elasticsearch"])
def test_no_two_jars_of_an_engine_share_a_file_name(engine: str) -> None:
    names = [jar.file_name for jar in jars.read_lock(ENGINES / f"{engine}.lock")]
    assert len(names) > 50
    assert len(names) == len(set(names))
