"""Waiting for a server that was just started, without waiting for one that has already died."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from devstack.errors import DevstackError, last_lines
from devstack.process import BackgroundProcess


def wait_until_ready(
    check: Callable[[], bool], *, process: BackgroundProcess, seconds: float, what: str
) -> None:
    """
    Poll until the check says yes.

    :param check: True when ready; False, not an exception, while the server is still starting.
    :param seconds: the most to wait.
    :raises DevstackError: the process ended or time is up; shows the end of its log.
    """
    deadline = time.monotonic() + seconds
    while not check():
        if not process.running():
            raise DevstackError(f"{what} ended while starting; {last_lines(process.log)}")
        if time.monotonic() > deadline:
            raise DevstackError(
                f"{what} was not ready after {seconds:.0f} s; {last_lines(process.log)}"
            )
        time.sleep(0.1)


def cluster_answers(url: str) -> bool:
    """Whether a search engine answers and its cluster is green or yellow."""
    # A proxy from the environment must never see calls to our own loopback address.
    with httpx.Client(trust_env=False, timeout=5.0) as client:
        try:
            if client.get(url).status_code != 200:
                return False
            health = client.get(f"{url}/_cluster/health")
        except httpx.TransportError:
            return False
    return health.status_code == 200 and health.json().get("status") in ("green", "yellow")
