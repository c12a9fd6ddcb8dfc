"""Free loopback ports."""

from __future__ import annotations

import random
import socket
import threading

# Below the range from which kernels take ports for outgoing connections, so that a port stays free
# between this choice and the moment its server binds it.
_FIRST, _LAST = 20_000, 32_000

_handed_out: set[int] = set()
_lock = threading.Lock()


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it a port whose last connections are still in TIME_WAIT looks taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None) -> int:
    """
    A free port of 127.0.0.1, never the same one twice in this process unless asked for.

    :param preferred: taken when free, so that addresses stay the same over a restart.
    """
    with _lock:
        if preferred is not None and is_free(preferred):
            _handed_out.add(preferred)
            return preferred
        choice = random.SystemRandom()
        for _ in range(2_000):
            port = choice.randint(_FIRST, _LAST)
            if port not in _handed_out and is_free(port):
                _handed_out.add(port)
                return port
    raise OSError(f"no free TCP port on 127.0.0.1 between {_FIRST} and {_LAST}")
