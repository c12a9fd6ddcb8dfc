"""How hard a target is pressed, and how fast a user allows it, as pure decisions.

:func:`adapt` moves two things by AIMD (multiplicative decrease on push-back, additive increase
after a quiet stretch): bulks in flight and body size. Fewer bulks come first, smaller bodies when
one bulk is left: a full queue counts requests and would only suffer from smaller ones, while one
bulk that is refused alone can only be too big. On the way back the bodies come first.

Nothing here looks at a clock or waits: quiet is measured in the bulks' own seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

QUIET_BULKS = 8
"""Bulks in a row without push-back before one step up."""

QUIET_SECONDS = 5.0
"""What these bulks must have taken together: small bodies would else step up every moment."""

SMALLEST_BYTES = 64 << 10
"""Bodies never get smaller: below, a bulk's fixed cost is most of it."""

STEPS = 8
"""Steps up from nothing to the largest body."""

CUT_EARLIER = 1.5
"""A body larger than the window by this was cut before the last step down: it waited in the queue,
and says nothing about bodies of today's size."""

SLOW_FACTOR = 4.0
"""A bulk that takes this many times its usual time is push-back."""

SLOW_SECONDS = 2.0
"""A faster bulk isn't slow, whatever is usual: one pause of a JVM's collector isn't pressure."""

_WEIGHT, _SLOW_WEIGHT = 0.2, 0.05
"""Weight of a bulk in what is usual. Slow ones count less, but they count: a target that stays
slower isn't pressed less for ever."""

CREDIT_SECONDS = 1.0
"""Idle time a rate limit makes up for, which evens out late wake-ups; more would be a burst."""

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the user allows at most."""

    in_flight: int
    chunk_bytes: int

    @property
    def smallest(self) -> int:
        """The floor of body sizes."""
        return min(SMALLEST_BYTES, self.chunk_bytes)


@dataclass(frozen=True, slots=True)
class Window:
    """What is allowed now.

    :param in_flight: bulks at the same time.
    :param chunk_bytes: size at which a body is closed.
    :param flight: how often the window was lowered. Bulks carry the number they were sent under,
        so that one moment of pressure, which all bulks in flight report, lowers it once.
    :param quiet: bulks since the last change.
    :param quiet_seconds: what they took.
    :param usual: moving average, seconds per MiB; ``None`` before the first bulk.
    """

    in_flight: int
    chunk_bytes: int
    flight: int = 0
    quiet: int = 0
    quiet_seconds: float = 0.0
    usual: float | None = None

    @classmethod
    def of(cls, bounds: Bounds) -> Window:
        """All that is allowed."""
        return cls(bounds.in_flight, bounds.chunk_bytes)

    def is_lowered(self, bounds: Bounds) -> bool:
        """True while something holds it below its bounds."""
        return self.in_flight < bounds.in_flight or self.chunk_bytes < bounds.chunk_bytes

    def line(self, bounds: Bounds) -> str:
        """For people: ``1 of 3 bulks in flight, 0.5 of 4.0 MiB each``."""
        return (
            f"{self.in_flight} of {bounds.in_flight} bulks in flight,"
            f" {self.chunk_bytes / _MIB:.3g} of {bounds.chunk_bytes / _MIB:.3g} MiB each"
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """One bulk that came back.

    :param seconds: the target's time for it, waits between retries left out.
    :param size: bytes of its body.
    :param flight: :attr:`Window.flight` when it was sent.
    :param refusals: how often the target refused it for now, in whole or in part.
    :param split: it was taken only in smaller pieces.
    :param why: the target's words for it.
    """

    seconds: float
    size: int
    flight: int
    refusals: int = 0
    split: bool = False
    why: str = ""


def adapt(window: Window, sent: Sent, bounds: Bounds) -> tuple[Window, str]:
    """The window after one bulk, and why it was or had to be lowered; empty if not.

    Never below one bulk of :attr:`Bounds.smallest`, never above the bounds. At the floor the
    reason is still told, and the window stays.
    """
    per_mib = sent.seconds / max(sent.size, SMALLEST_BYTES) * _MIB
    slow = (
        window.usual is not None
        and sent.seconds >= SLOW_SECONDS
        and per_mib > SLOW_FACTOR * window.usual
    )
    if not (sent.refusals or sent.split or slow):
        return _quiet(window, sent, per_mib, bounds), ""
    usual = _mixed(window.usual, per_mib, _SLOW_WEIGHT) if slow else window.usual
    now = replace(window, usual=usual, quiet=0, quiet_seconds=0.0)
    if sent.refusals or sent.split:
        why = sent.why or "the target refuses for now"
    else:
        why = f"a bulk took {sent.seconds:.1f} s, more than {SLOW_FACTOR:.0f} times the usual"
    if sent.flight != window.flight:
        return now, why
    too_big_alone = sent.split and not sent.refusals
    if now.in_flight > 1 and not too_big_alone:
        lower = replace(now, in_flight=(now.in_flight + 1) // 2)
    elif sent.size > CUT_EARLIER * now.chunk_bytes:
        return now, why
    else:
        lower = replace(now, chunk_bytes=max(bounds.smallest, now.chunk_bytes // 2))
    return replace(lower, flight=now.flight + 1), why


def _quiet(window: Window, sent: Sent, per_mib: float, bounds: Bounds) -> Window:
    now = replace(window, usual=_mixed(window.usual, per_mib, _WEIGHT))
    if not window.is_lowered(bounds) or sent.flight != window.flight:
        return now
    now = replace(now, quiet=window.quiet + 1, quiet_seconds=window.quiet_seconds + sent.seconds)
    if now.quiet < QUIET_BULKS or now.quiet_seconds < QUIET_SECONDS:
        return now
    rested = replace(now, quiet=0, quiet_seconds=0.0)
    if now.chunk_bytes < bounds.chunk_bytes:
        step = max(1, bounds.chunk_bytes // STEPS)
        return replace(rested, chunk_bytes=min(bounds.chunk_bytes, now.chunk_bytes + step))
    return replace(rested, in_flight=now.in_flight + 1)


def _mixed(usual: float | None, new: float, weight: float) -> float:
    return new if usual is None else usual + weight * (new - usual)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a user allows one copying task; ``None`` is no limit."""

    documents_per_second: float | None = None
    bytes_per_second: float | None = None

    @property
    def is_set(self) -> bool:
        """True if anything is limited."""
        return bool(self.documents_per_second or self.bytes_per_second)

    def bytes_in(self, seconds: float, *, per_document: float | None) -> float | None:
        """Bytes that may go in a time; ``None`` without limits.

        :param per_document: bytes; ``None`` while unknown, when a limit of documents allows 0.
        """
        limits = [self.bytes_per_second] if self.bytes_per_second else []
        if self.documents_per_second:
            limits.append(self.documents_per_second * (per_document or 0.0))
        return seconds * min(limits) if limits else None

    def documents_in(self, seconds: float, *, per_document: float | None) -> float | None:
        """Documents that may go in a time; ``None`` without limits.

        :param per_document: bytes; ``None`` while unknown, when a limit of bytes doesn't count.
        """
        limits = [self.documents_per_second] if self.documents_per_second else []
        if self.bytes_per_second and per_document:
            limits.append(self.bytes_per_second / per_document)
        return seconds * min(limits) if limits else None

    def delay(
        self, *, at: float, due: float, documents: int, size: int
    ) -> tuple[float, float, str]:
        """Seconds to wait before a chunk may go, when the next one is due, and why.

        In any stretch of time no more goes out than the limits allow for it, for one second of
        credit, and for the chunk that is on its way.

        :param at: now, in seconds of any clock.
        :param due: when this chunk is due, as told with the last one; at the start any past time.
        """
        costs = []
        if self.documents_per_second:
            limit = self.documents_per_second
            costs.append((documents / limit, f"limited to {limit:,.6g} documents/s"))
        if self.bytes_per_second:
            limit = self.bytes_per_second
            costs.append((size / limit, f"limited to {limit / 1e6:,.6g} MB/s"))
        cost, reason = max(costs, default=(0.0, ""))
        start = max(due, at - CREDIT_SECONDS)
        wait = max(0.0, start - at)
        return wait, start + cost, reason if wait else ""
