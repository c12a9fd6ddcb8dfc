"""What all servers of the dev stack are: started when they are needed, stopped in the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Server(ABC):
    """Runs inside of a ``with``."""

    @abstractmethod
    def start(self) -> Self:
        """Start it, unless it runs; returns when it answers."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it, if it runs; its data stay."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
