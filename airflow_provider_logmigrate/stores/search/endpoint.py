"""Where an engine is and how to log in: plain data, made from an Airflow connection elsewhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from airflow_provider_logmigrate.core.errors import ConnectionInvalid

DEFAULT_PORTS = {"http": 80, "https": 443}
"""What a URL without a port means; both engines' own 9200 is written out in connections."""


class Engine(str, Enum):
    """The two families of engines; their connection types in Airflow have the same names."""

    OPENSEARCH = "opensearch"
    ELASTICSEARCH = "elasticsearch"


@dataclass(frozen=True, slots=True)
class Host:
    """One node's address."""

    scheme: str
    name: str
    port: int
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One cluster.

    :param hosts: full URLs, ``https://node-1:9200``; all of one cluster.
    :param api_key: the encoded form ``base64(id:key)``; used instead of user and password.
    :param verify_certs: check the servers' certificates; off only on the user's own word.
    :param ca_certs: path of a file with the CA's certificate, for those no public CA has signed.
    :param timeout_seconds: for one request, connecting included.
    :param connections: kept open per host.
    """

    engine: Engine
    hosts: tuple[str, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    verify_certs: bool = True
    ca_certs: str | None = None
    timeout_seconds: float = 30.0
    connections: int = 8

    @property
    def label(self) -> str:
        """The hosts for messages and logs, without logins."""
        return ", ".join(f"{h.scheme}://{h.name}:{h.port}{h.prefix}" for h in self.addresses())

    def addresses(self) -> tuple[Host, ...]:
        """The hosts, taken apart and checked.

        :raises ConnectionInvalid: no host, or one that isn't a plain http(s) URL.
        """
        if not self.hosts:
            raise ConnectionInvalid("the connection names no host", where=self.engine.value)
        return tuple(self._address(position) for position in range(len(self.hosts)))

    def authorization(self) -> str | None:
        """Value of the Authorization header."""
        if self.api_key:
            return f"ApiKey {self.api_key}"
        if self.username is None:
            return None
        login = f"{self.username}:{self.password or ''}".encode()
        return f"Basic {base64.b64encode(login).decode()}"

    def check_ca(self) -> None:
        """:raises ConnectionInvalid: the CA file isn't there."""
        if self.ca_certs and not Path(self.ca_certs).exists():
            raise ConnectionInvalid(
                f"ca_certs names {self.ca_certs}, which doesn't exist on this machine",
                where=self.label,
                next_step="put the CA file there, on every worker, or correct the connection",
            )

    def _address(self, position: int) -> Host:
        # The URL itself is never shown: a login may have been written into it.
        where = f"{self.engine.value}, host {position + 1} of {len(self.hosts)}"
        try:
            url: SplitResult = urlsplit(self.hosts[position])
            name, port = url.hostname, url.port
        except ValueError:
            raise ConnectionInvalid("a host isn't a valid URL", where=where) from None
        if url.scheme not in DEFAULT_PORTS or not name:
            raise ConnectionInvalid(
                "a host must be a full URL like https://search.example:9200", where=where
            )
        if url.username or url.password:
            raise ConnectionInvalid(
                "a host URL holds a login, which would end up in logs",
                where=where,
                next_step="move it to the connection's login and password fields",
            )
        return Host(
            scheme=url.scheme,
            name=name,
            port=port if port is not None else DEFAULT_PORTS[url.scheme],
            prefix=url.path.rstrip("/"),
        )
