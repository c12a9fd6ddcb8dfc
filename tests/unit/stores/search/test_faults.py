from __future__ import annotations

import pickle
import ssl
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    LogMigrateError,
    TargetBlocked,
    TargetRefused,
    TargetUnavailable,
)
from airflow_provider_logmigrate.stores.search.faults import (
    Broken,
    connection_error,
    reason_of,
    refusal,
    scrub,
    unanswered,
)


def answer(kind: str, reason: str = "because", **more: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "reason": reason, **more}}


@pytest.mark.parametrize(
    ("status", "data", "expected"),
    [
        (429, answer("circuit_breaking_exception"), TargetUnavailable),
        (408, None, TargetUnavailable),
        (500, answer("null_pointer_exception"), TargetUnavailable),
        (502, "<html>bad gateway</html>", TargetUnavailable),
        (503, answer("cluster_block_exception"), TargetUnavailable),
        (504, "", TargetUnavailable),
        (403, answer("cluster_block_exception"), TargetBlocked),
        (429, answer("cluster_block_exception"), TargetBlocked),
        (401, answer("security_exception"), ConnectionInvalid),
        (401, "Unauthorized", ConnectionInvalid),
        (403, answer("security_exception"), ConnectionInvalid),
        (400, answer("mapper_parsing_exception"), TargetRefused),
        (404, answer("index_not_found_exception"), TargetRefused),
        (404, answer("search_context_missing_exception"), TargetUnavailable),
        (302, "moved", TargetRefused),
        (
            503,
            answer(
                "search_phase_execution_exception", caused_by={"type": "too_many_buckets_exception"}
            ),
            TargetRefused,
        ),
        (
            404,
            answer(
                "search_phase_execution_exception",
                root_cause=[{"type": "search_context_missing_exception"}],
            ),
            TargetUnavailable,
        ),
    ],
)
def test_what_an_error_status_means(status: int, data: Any, expected: type) -> None:
    error = refusal(status, data, where="an-index at http://127.0.0.1:1")
    assert type(error) is expected
    assert "an-index" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_engine_s_reason_is_in_the_message() -> None:
    error = refusal(400, answer("x", "unknown setting [index.foo]"), where="i")
    assert "unknown setting [index.foo]" in str(error)
    assert error.data == {"status": 400, "kind": "x"}


def test_a_refused_certificate_says_what_to_set() -> None:
    fault = unanswered(ssl.SSLCertVerificationError(1, "self-signed certificate"))
    assert fault.broken is Broken.UNTRUSTED
    error = connection_error(fault, where="https://h:1")
    assert isinstance(error, ConnectionInvalid)
    assert "ca_certs" in str(error)


def test_a_broken_connection_may_have_been_carried_out() -> None:
    fault = unanswered(ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")))
    assert fault.broken is Broken.LOST
    error: LogMigrateError = connection_error(fault, where="http://h:1")
    assert isinstance(error, TargetUnavailable)
    assert error.retryable


@pytest.mark.parametrize(
    "text",
    [
        "GET https://elastic:hunter2secret@host:9200/_bulk failed",
        "header Authorization: Basic aHVudGVyMnNlY3JldA==hunter2secret",
        "ApiKey hunter2secretABCDEF== refused",
        "bearer hunter2secret.abc.def",
    ],
)
def test_no_login_survives(text: str) -> None:
    assert "hunter2secret" not in scrub(text)
    assert "hunter2secret" not in str(refusal(400, answer("x", text), where="i"))


def test_a_reason_is_bounded() -> None:
    assert len(reason_of({"type": "x", "reason": "y" * 100_000})) <= 1000
