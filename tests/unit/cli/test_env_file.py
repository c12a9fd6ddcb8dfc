"""``.env`` files as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_logmigrate.cli.env_file import read_env_file
from airflow_provider_logmigrate.core.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("P=plain", "plain"),
        ("  export P = spaced ", "spaced"),
        ("P=", ""),
        ('P=""', ""),
        ('P="in quotes"', "in quotes"),
        ("P='in quotes'", "in quotes"),
        ('P="', '"'),
        ("P='", "'"),
        ('P="half', '"half'),
        ("P=half'", "half'"),
        ("P='mixed\"", "'mixed\""),
        ("P=a\"b'c", "a\"b'c"),
        ("P='a\"b'", 'a"b'),
        ('P="a\'b"', "a'b"),
        (r'P="a\"b\\c\$d"', r'a"b\c$d'),
        (r"P='a\b'", r"a\b"),
        ("P=a=b==", "a=b=="),
        ("P=a#b", "a#b"),
        ("P=a # told", "a"),
        ("P='a # b' # told", "a # b"),
        ('P="a#b"# told', "a#b"),
        ("P= # told", ""),
    ],
)
def test_values(tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"# a comment\n#P=commented out\n\n{line}\nno assignment\nQ=1\n")
    assert read_env_file(path) == {"P": value, "Q": "1"}


def test_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes("\ufeffA=1\r\nA=2\r\n".encode())
    assert read_env_file(path) == {"A": "2"}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="No such file") as caught:
        read_env_file(tmp_path / "nowhere")
    assert caught.value.where == str(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"A=\xff")
    with pytest.raises(ConfigInvalid, match="isn't UTF-8 text"):
        read_env_file(tmp_path / "binary")
