"""Values that a real database can hold and that have broken real migrations.

Each case is a mapping of column overrides for one row. Columns a table does not have are left out,
so most cases apply to runs and to node executions alike. The values are what PostgreSQL can store
in those columns: text never holds NUL or a raw surrogate, only their JSON escapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

Value = str | float | None
"""A column value as COPY takes it: timestamps, uuids and special numbers are given as text. Whole
numbers are ``int``, which the type checker takes for a kind of ``float``."""

_MEGABYTE = 1_000_000
_CONTROLS = "a\x01b\x02c\x03d\x1fe\x7ff"


def _json(text: str) -> Mapping[str, Value]:
    """A text in the JSON columns of a run or a node."""
    return {"inputs": text, "outputs": text}


def _plain(text: str) -> Mapping[str, Value]:
    """A text in the plain text columns: an error, and a title as far as it fits."""
    return {"error": text, "title": text[:255]}


def _nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def _named(groups: Iterable[Mapping[str, Mapping[str, Value]]]) -> dict[str, Mapping[str, Value]]:
    named: dict[str, Mapping[str, Value]] = {}
    for group in groups:
        for case, overrides in group.items():
            if case in named:
                raise ValueError(f"hostile case {case!r} is defined twice; rename one")
            named[case] = MappingProxyType(dict(overrides))
    return named


_NOT_JSON = {
    "json_nan": _json('{"score": NaN, "text": "not a number"}'),
    "json_infinity": _json('{"high": Infinity, "low": -Infinity}'),
    "json_bare_nan": _json("NaN"),
    "json_not_json": _json("Traceback (most recent call last): ValueError"),
    "json_empty": _json(""),
    "json_whitespace_only": _json(" \n\t "),
    "json_truncated": _json('{"text": "cut in the mid'),
    "json_python_repr": _json("{'text': None, 'ok': True}"),
    "json_raw_control": _json('{"text": "tab\tand\x01control"}'),
    "json_raw_newline_in_string": _json('{"text": "line one\nline two"}'),
    "json_trailing_comma": _json('{"a": 1,}'),
    "json_byte_order_mark": _json('\ufeff{"a": 1}'),
    "json_lone_surrogate": _json('{"text": "half \\ud800 pair"}'),
    "json_two_values": _json('{"a": 1} {"b": 2}'),
}
_INJECTION = {
    "inject_field": _json('1,"evil":"y"'),
    "inject_bulk_action": _json('1}\n{"delete":{}}\n{"z":1'),
    "inject_delete_other_index": _json('{}}\n{"delete":{"_index":"other","_id":"1"}}\n{"z":{}'),
    "inject_closing_brace": _json('{"a": 1}}'),
}
_UNUSUAL_JSON = {
    "json_pretty_printed": _json(json.dumps({"a": [1, {"b": "知识库"}], "c": None}, indent=2)),
    "json_crlf_pretty_printed": _json('{\r\n  "a": 1\r\n}'),
    "json_surrounding_whitespace": _json(' \n {"a": 1} \n '),
    "json_nul_escape": _json('{"text": "before \\u0000 after"}'),
    "json_all_escapes": _json('{"text": "\\"\\\\\\/\\b\\f\\n\\r\\t\\u4e2d\\ud83d\\ude00"}'),
    "json_raw_utf8": _json('{"text": "知识库检索 — Grüße 😀 \u2028 \u200f"}'),
    "json_long_integer": _json('{"n": 123456789012345678901234567890}'),
    "json_long_decimal": _json('{"price": 0.1234567890123456789012345678901234567890}'),
    "json_number_out_of_range": _json('{"n": 1e400, "m": -0, "k": -0.0, "j": 1E-400}'),
    "json_duplicate_keys": _json('{"a": 1, "a": 2, "b": {"c": 1, "c": "x"}}'),
    "json_strange_keys": _json('{"": 1, ".": 2, "a.b": 3, "_id": 4, "a": {"b": 5}, "$ref": 6}'),
    "json_many_keys": _json(json.dumps({f"field_{n}": n for n in range(2_500)})),
    "json_scalar_string": _json('"just a text"'),
    "json_scalar_number": _json("42"),
    "json_scalar_null": _json("null"),
    "json_scalar_true": _json("true"),
    "json_array": _json('[1, "two", {"three": 3}, [], null]'),
    "json_empty_object": _json("{}"),
    "json_mixed_types": _json('{"v": [1, "1", {"v": 1}, null, true]}'),
    "json_nesting_900": _json(_nested(900)),
    "json_nesting_5000": _json(_nested(5_000)),
    "json_nesting_100000": _json(_nested(100_000)),
    "json_one_megabyte": {"outputs": json.dumps({"text": "refund ledger " * (_MEGABYTE // 14)})},
}
_PLAIN_TEXT = {
    "text_quotes": _plain("""say "yes" or 'no' or `maybe`"""),
    "text_backslashes": _plain("C:\\temp\\new \\N \\. \\\\ \\u0041 \\"),
    "text_tab": _plain("a\tb\t\tc"),
    "text_controls": _plain(_CONTROLS),
    "text_cr_lf": _plain("one\r\ntwo\rthree\nfour\n"),
    "text_unicode_separators": _plain("a\u2028b\u2029c\u0085d\u200be"),
    "text_copy_end_marker": _plain("\\."),
    "text_copy_null_marker": _plain("\\N"),
    "text_word_null": _plain("null"),
    "text_word_null_upper": _plain("NULL"),
    "text_empty": _plain(""),
    "text_blank": _plain("  "),
    "text_separators_only": _plain("\x01\x02\x01"),
    "text_formula_and_markup": _plain("=1+1;<script>alert(1)</script>&amp;%s%(x)s{0}${y}"),
    "text_sql": _plain("'); DROP TABLE workflow_runs; --"),
    "text_multi_byte": _plain("知识库😀" * 60),
    "text_right_to_left": _plain(
        "\u202e\u0645\u0631\u062d\u0628\u0627 abc \u05e9\u05dc\u05d5\u05dd"
    ),
    "text_one_token": {"error": "x" * 40_000},
    "text_one_megabyte": {"error": "Error: upstream said no. " * (_MEGABYTE // 25)},
}
_NULLS: dict[str, Mapping[str, Value]] = {
    "nulls": dict.fromkeys(
        (
            *("graph", "inputs", "process_data", "outputs", "error", "execution_metadata"),
            *("predecessor_node_id", "node_execution_id", "finished_at"),
            *("total_steps", "exceptions_count", "task_id"),
        ),
    ),
    "json_bad_metadata": {"execution_metadata": '{"total_price": NaN', "process_data": ""},
    "json_bad_graph": {"graph": '{"nodes": [', "process_data": '{"usage": Infinity}'},
}
_NUMBERS: dict[str, Mapping[str, Value]] = {
    "double_nan": {"elapsed_time": "NaN"},
    "double_infinity": {"elapsed_time": "Infinity"},
    "double_minus_infinity": {"elapsed_time": "-Infinity"},
    "double_extremes": {"elapsed_time": "1.7976931348623157e+308"},
    "double_denormal": {"elapsed_time": "5e-324"},
    "integer_extremes": {"total_tokens": 2_147_483_647, "total_steps": -2_147_483_648},
}
_TIMES: dict[str, Mapping[str, Value]] = {
    "time_infinity": {"finished_at": "infinity"},
    "time_minus_infinity": {"finished_at": "-infinity"},
    "time_year_12025": {"finished_at": "12025-01-15 10:20:30.123456"},
    "time_before_christ": {"finished_at": "0044-03-15 12:00:00 BC"},
    "time_year_1": {"finished_at": "0001-01-01 00:00:00"},
    "time_end_of_9999": {"finished_at": "9999-12-31 23:59:59.999999"},
    "time_before_creation": {"finished_at": "1969-12-31 23:59:59.999999"},
}

HOSTILE_VALUES: Mapping[str, Mapping[str, Value]] = MappingProxyType(
    _named((_NOT_JSON, _INJECTION, _UNUSUAL_JSON, _PLAIN_TEXT, _NULLS, _NUMBERS, _TIMES))
)
"""Case name -> column overrides, all storable in the tables of both schema variants."""


def override(
    row: tuple[Value, ...], columns: tuple[str, ...], values: Mapping[str, Value]
) -> tuple[Value, ...]:
    """The row with the given columns replaced; columns the row does not have are ignored."""
    return tuple(values.get(column, value) for column, value in zip(columns, row, strict=True))
