"""So many threads at once, and never nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from airflow_provider_logmigrate.core.gate import Gate


class Crowd:
    """Threads that go through a gate again and again until told to end."""

    def __init__(self, gate: Gate, count: int) -> None:
        self.gate, self.lock = gate, threading.Lock()
        self.inside = self.most = self.passed = 0
        self.ended = False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self) -> None:
        while not self.ended:
            self.gate.enter()
            with self.lock:
                self.inside += 1
                self.passed += 1
                self.most = max(self.most, self.inside)
            time.sleep(0.001)
            with self.lock:
                self.inside -= 1
            self.gate.leave()

    def end(self) -> None:
        self.ended = True
        self.gate.open()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_no_more_than_allowed_and_more_when_the_number_grows() -> None:
    allowed = [2]
    crowd = Crowd(Gate(lambda: allowed[0]), 5)
    eventually(lambda: crowd.passed > 50 and crowd.most > 1)
    assert crowd.most == 2
    allowed[0] = 4
    eventually(lambda: crowd.most == 4)
    allowed[0] = 1
    eventually(lambda: crowd.inside <= 1)
    with crowd.lock:
        crowd.most, before = 0, crowd.passed
    eventually(lambda: crowd.passed > before + 20)
    crowd.end()


def test_a_number_of_zero_still_lets_one_through() -> None:
    crowd = Crowd(Gate(lambda: 0), 3)
    eventually(lambda: crowd.passed > 20)
    assert crowd.most == 1
    crowd.end()


def test_opening_lets_everybody_go() -> None:
    gate = Gate(lambda: 1)
    gate.enter()
    waiting = [threading.Thread(target=gate.enter, daemon=True) for _ in range(3)]
    for thread in waiting:
        thread.start()
    gate.open()
    for thread in waiting:
        thread.join(60)
        assert not thread.is_alive()
