"""What an engine's answer or a broken connection means, decided in one place.

Everything that leaves this package is one of the errors of :mod:`core.errors`. Messages hold the
engine's own reason, shortened, and never a login.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    LogMigrateError,
    TargetBlocked,
    TargetRefused,
    TargetUnavailable,
)

MAX_REASON = 1000
"""Characters of an engine's reason kept in a message; it may quote a whole document."""

BLOCK = "cluster_block_exception"

_OVERLOADED = frozenset({408, 429})
_REPEATS = frozenset({"too_many_buckets_exception"})
"""Answered with 503 by some versions, but the same request fails again."""
_PASSES = frozenset({"search_context_missing_exception"})
"""Answered with 404; a node with an open point in time restarted: a new attempt works."""
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_AUTHORIZATION = re.compile(r"(?i)\b(basic|bearer|apikey)\s+[A-Za-z0-9+/=_.:-]{8,}")


class Broken(Enum):
    """How a request failed without an answer."""

    NOT_SENT = "not sent"
    """No connection: another host may be tried at once, whatever the request."""
    LOST = "lost"
    """The connection broke or timed out: the request may have been carried out."""
    UNTRUSTED = "untrusted"
    """The server's certificate isn't trusted."""
    NO_TLS = "no TLS"
    """The server doesn't speak TLS on this port."""


class Unanswered(Exception):
    """A request without a usable answer; caught by the client, never seen outside."""

    def __init__(self, broken: Broken, detail: str) -> None:
        super().__init__(detail)
        self.broken = broken
        self.detail = detail


def scrub(text: str) -> str:
    """Take out logins in URLs and authorization values."""
    return _AUTHORIZATION.sub(r"\1 ***", _LOGIN_IN_URL.sub("***@", text))


def unanswered(error: BaseException) -> Unanswered:
    """What a client library's connection error means.

    Both libraries wrap the same urllib3 and ssl errors, differently deep, so the whole chain is
    looked through.
    """
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

    chain = list(_chain(error))
    detail = scrub(f"{type(error).__name__}: {_innermost(chain)}")[:MAX_REASON]
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        return Unanswered(Broken.UNTRUSTED, detail)
    if any(isinstance(link, ssl.SSLError) and "WRONG_VERSION" in str(link) for link in chain):
        return Unanswered(Broken.NO_TLS, detail)
    if any(isinstance(x, NewConnectionError | ConnectTimeoutError | ProxyError) for x in chain):
        return Unanswered(Broken.NOT_SENT, detail)
    return Unanswered(Broken.LOST, detail)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        link = waiting.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = [link.__cause__, link.__context__, getattr(link, "reason", None)]
        inner += [getattr(link, "info", None), *link.args, *getattr(link, "errors", ())]
        waiting += [item for item in inner if isinstance(item, BaseException)]


def _innermost(chain: list[BaseException]) -> BaseException:
    return next((link for link in chain if isinstance(link, OSError)), chain[-1])


def connection_error(fault: Unanswered, *, where: str) -> LogMigrateError:
    """The error for a request that no host answered."""
    if fault.broken is Broken.UNTRUSTED:
        return ConnectionInvalid(
            f"the server's TLS certificate isn't trusted ({fault.detail})",
            where=where,
            next_step="set ca_certs in the connection's extra to the file of the CA that signed it",
        )
    if fault.broken is Broken.NO_TLS:
        return ConnectionInvalid(
            "the server doesn't speak TLS on this port",
            where=where,
            next_step="use http:// in the connection's host, or the port that speaks TLS",
        )
    what = "can't be reached" if fault.broken is Broken.NOT_SENT else "broke off the request"
    return TargetUnavailable(f"the engine {what} ({fault.detail})", where=where)


def kind_of(data: Any) -> str:
    """The engine's type of an error answer, ``""`` if it has none."""
    error = data.get("error") if isinstance(data, Mapping) else None
    return str(error.get("type", "")) if isinstance(error, Mapping) else ""


def _kinds(data: Any) -> frozenset[str]:
    """The types of an error answer and of its causes."""
    link = data.get("error") if isinstance(data, Mapping) else None
    kinds = set()
    while isinstance(link, Mapping):
        kinds.add(str(link.get("type", "")))
        link = link.get("caused_by") or next(iter(link.get("root_cause") or ()), None)
    return frozenset(kinds)


def reason_of(error: Any) -> str:
    """One line out of an error object: the outer reason and the innermost cause."""
    if not isinstance(error, Mapping):
        return scrub(str(error))[:MAX_REASON]
    reasons: list[str] = []
    link: Any = error
    while isinstance(link, Mapping):
        reason = str(link.get("reason") or link.get("type") or "")
        if reason and reason not in reasons:
            reasons.append(reason)
        link = link.get("caused_by")
    shown = reasons if len(reasons) < 3 else [reasons[0], reasons[-1]]
    return scrub(": ".join(shown))[:MAX_REASON]


def refusal(status: int, data: Any, *, where: str) -> LogMigrateError:
    """The error for an answer with an error status."""
    error = data.get("error", data) if isinstance(data, Mapping) else data
    kind, reason = kind_of(data), reason_of(error) or "no reason given"
    facts: dict[str, Any] = {"status": status, "kind": kind}
    if kind == BLOCK and status in (403, 429):
        return blocked(reason, where=where)
    kinds = _kinds(data)
    if kinds & _REPEATS:
        return TargetRefused(f"the engine refused: {reason}", where=where, **facts)
    if status in _OVERLOADED or status >= 500 or kinds & _PASSES:
        return TargetUnavailable(
            f"the engine is overloaded or down (HTTP {status}: {reason})", where=where, **facts
        )
    if status == 401:
        return ConnectionInvalid(
            f"the login was refused (HTTP 401: {reason})",
            where=where,
            next_step="correct login and password, or the API key, in the Airflow connection",
            **facts,
        )
    if status == 403:
        return ConnectionInvalid(
            f"the login lacks a privilege (HTTP 403: {reason})",
            where=where,
            next_step="grant it to the connection's user, then run `airflow logmigrate check`",
            **facts,
        )
    return TargetRefused(f"the engine refused (HTTP {status}): {reason}", where=where, **facts)


def blocked(reason: str, *, where: str) -> TargetBlocked:
    """The error for a write or metadata block."""
    return TargetBlocked(f"the engine blocks writes: {reason}", where=where)
