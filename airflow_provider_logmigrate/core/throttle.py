"""Pressure and limits as pure decisions: (decision, reason), tested without sleeping.

Three independent brakes act on a copy:

* the target's pressure moves bulks in flight and body size by AIMD (halve on push-back, one step
  up after a calm stretch): :func:`adapt`;
* limits the user set (documents and bytes per second): :class:`RateLimit`;
* the source's health (a probe query's latency, replication lag, active backends): :func:`protect`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

CALM_BULKS = 8
"""Bulks without push-back after which one step up is tried."""

SLOW_FACTOR = 4.0
"""A bulk this many times slower than the usual one counts as push-back."""

SMALLEST_BYTES = 256 << 10
"""Below this a bulk's fixed cost shows (measured: 1 to 16 MB make no difference)."""

_USUAL_WEIGHT = 0.1
"""Weight of one bulk in the moving average of seconds per megabyte."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """How hard the target is pressed.

    :param in_flight: bulks allowed at the same time.
    :param chunk_bytes: size at which a body is closed.
    :param calm: bulks since the last change.
    :param usual: moving average, seconds per megabyte; ``None`` before the first bulk.
    """

    in_flight: int
    chunk_bytes: int
    calm: int = 0
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """One bulk that came back.

    :param seconds: from sending to the last document settled, waits between retries left out.
    :param pushed_back: the engine answered 429 or 503, whole or for single documents.
    """

    seconds: float
    bytes: int
    pushed_back: bool


def adapt(
    now: Pressure, sent: Sent, *, max_in_flight: int, max_chunk_bytes: int
) -> tuple[Pressure, str]:
    """The pressure after one bulk, and why it changed (empty if it didn't).

    Push-back halves both; calm raises bulks in flight by one, body size by an eighth of its bound.
    Never below one bulk of 256 KiB, never above the bounds.
    """
    pace = sent.seconds / max(sent.bytes / 1e6, 0.1)
    slow = now.usual is not None and pace > SLOW_FACTOR * now.usual and sent.seconds > 1.0
    usual = pace if now.usual is None else now.usual + _USUAL_WEIGHT * (pace - now.usual)
    if sent.pushed_back or slow:
        lower = Pressure(
            in_flight=max(1, now.in_flight // 2),
            chunk_bytes=max(min(SMALLEST_BYTES, max_chunk_bytes), now.chunk_bytes // 2),
            usual=now.usual if slow else usual,
        )
        why = "the target pushes back" if sent.pushed_back else "the target answers slowly"
        return lower, f"{why}: {_shown(lower)}"
    calm = replace(now, calm=now.calm + 1, usual=usual)
    if calm.calm < CALM_BULKS or (
        now.in_flight >= max_in_flight and now.chunk_bytes >= max_chunk_bytes
    ):
        return calm, ""
    higher = Pressure(
        in_flight=min(max_in_flight, now.in_flight + 1),
        chunk_bytes=min(max_chunk_bytes, now.chunk_bytes + max(1, max_chunk_bytes // 8)),
        usual=usual,
    )
    return higher, f"the target is calm: {_shown(higher)}"


def _shown(pressure: Pressure) -> str:
    return f"{pressure.in_flight} in flight of {pressure.chunk_bytes / (1 << 20):.1f} MiB"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Limits a user set for one lane; ``None`` is no limit."""

    documents_per_second: float | None = None
    bytes_per_second: float | None = None

    def delay(self, *, elapsed: float, documents: int, bytes_sent: int) -> tuple[float, str]:
        """Seconds to wait so that the mean rate since the start stays below the limits.

        :param elapsed: seconds since the counts began.
        """
        waits = [
            (count / limit - elapsed, f"limited to {limit:,.0f} {unit}/s")
            for count, limit, unit in (
                (documents, self.documents_per_second, "documents"),
                (bytes_sent, self.bytes_per_second, "bytes"),
            )
            if limit
        ]
        wait, reason = max(waits, default=(0.0, ""))
        return (wait, reason) if wait > 0 else (0.0, "")


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """What a probe of the source found.

    :param probe_seconds: latency of one tiny query.
    :param lag_seconds: largest replication lag, ``None`` without replicas.
    :param active: backends that are running a query, ours left out.
    """

    probe_seconds: float
    lag_seconds: float | None = None
    active: int = 0


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """Thresholds that protect the source; ``None`` switches one off."""

    probe_seconds: float | None = 0.25
    lag_seconds: float | None = 10.0
    active: int | None = None

    @property
    def any(self) -> bool:
        """True if anything is to be watched."""
        return any(
            value is not None for value in (self.probe_seconds, self.lag_seconds, self.active)
        )


def protect(health: SourceHealth, limits: SourceLimits) -> tuple[bool, str]:
    """Whether reading must pause now, and why."""
    if limits.lag_seconds is not None and (health.lag_seconds or 0) > limits.lag_seconds:
        return True, (
            f"reading pauses: a replica lags {health.lag_seconds:.0f} s"
            f" (limit {limits.lag_seconds:.0f} s)"
        )
    if limits.active is not None and health.active > limits.active:
        return True, (f"reading pauses: {health.active} queries are active (limit {limits.active})")
    if limits.probe_seconds is not None and health.probe_seconds > limits.probe_seconds:
        return True, (
            f"reading pauses: a probe query took {health.probe_seconds * 1000:.0f} ms"
            f" (limit {limits.probe_seconds * 1000:.0f} ms)"
        )
    return False, ""
