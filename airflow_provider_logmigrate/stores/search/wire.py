"""The two client libraries' transports behind one call: bytes out, status and data back.

Only their transports are used: they carry TLS, logins, connection pools and dead-host tracking.
Their retries are off, because ours are bounded in one place; an error status is an answer here,
not an exception.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from airflow_provider_logmigrate.stores.search.endpoint import Endpoint, Engine
from airflow_provider_logmigrate.stores.search.faults import Broken, Unanswered, unanswered

if TYPE_CHECKING:
    import elastic_transport
    import opensearchpy

JSON = "application/json"
NDJSON = "application/x-ndjson"

Parse = Callable[[str | bytes], Any]
"""Makes Python values of an answer's JSON. :raises ValueError: it isn't JSON."""


class Wire(Protocol):
    """One request to one of the hosts. Thread-safe."""

    def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        timeout: float | None,
        parse: Parse,
    ) -> tuple[int, Any]:
        """Status and parsed answer; errors are parsed as usual, whatever ``parse`` is.

        :raises Unanswered: there was no answer, or not a whole one.
        """

    def close(self) -> None:
        """Close the connections."""


def open_wire(endpoint: Endpoint) -> Wire:
    """A wire of the endpoint's engine; connects with the first request."""
    endpoint.check_ca()
    if endpoint.engine is Engine.OPENSEARCH:
        return _OpenSearchWire(endpoint)
    return _ElasticWire(endpoint)


def parse_exact(data: str | bytes) -> Any:
    """JSON with decimals as they were written: a document's 0.1 isn't turned into a double."""
    return json.loads(data, parse_float=Decimal)


@dataclass(frozen=True, slots=True)
class _Json:
    """What the transports' serializers leave of an answer: its JSON, which the caller parses."""

    text: str | bytes

    def parsed(self, parse: Parse) -> Any:
        """:raises Unanswered: it isn't JSON."""
        try:
            return parse(self.text)
        except ValueError as error:
            raise Unanswered(Broken.LOST, "the answer isn't the engine's JSON") from error


def _quiet(logger: str, level: int) -> None:
    """Keep a library from writing a line per request, unless its level was set by somebody.

    A copy sends a hundred thousand bulks, and a task's log shows INFO; what fails is raised.
    """
    if logging.getLogger(logger).level == logging.NOTSET:
        logging.getLogger(logger).setLevel(level)


class _OpenSearchWire:
    """Through opensearch-py. It doesn't say which success status it was: 200 stands for all."""

    def __init__(self, endpoint: Endpoint) -> None:
        from opensearchpy import Transport, serializer

        _quiet("opensearch", logging.ERROR)  # it warns of expected answers, such as 404

        class Unparsed(serializer.JSONSerializer):
            def loads(self, s: str) -> Any:
                return _Json(s)

        authorization = endpoint.authorization()
        common: dict[str, Any] = {
            "timeout": endpoint.timeout_seconds,
            "headers": {"authorization": authorization} if authorization else {},
        }
        secure = {
            "verify_certs": endpoint.verify_certs,
            "ssl_show_warn": False,
            "ca_certs": endpoint.ca_certs,
        }
        hosts = [
            {
                "host": host.name,
                "port": host.port,
                "use_ssl": host.scheme == "https",
                "url_prefix": host.prefix,
                **common,
                **(secure if host.scheme == "https" else {}),
            }
            for host in endpoint.addresses()
        ]
        self._transport: opensearchpy.Transport = Transport(
            hosts,
            serializer=Unparsed(),
            max_retries=0,
            retry_on_timeout=True,  # with no retry left it only marks the host as dead
            pool_maxsize=endpoint.connections,
        )

    def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        timeout: float | None,
        parse: Parse,
    ) -> tuple[int, Any]:
        from opensearchpy import exceptions

        # Parameters go into the path: the transport would take "timeout" for its own.
        try:
            data = self._transport.perform_request(
                method,
                _with(path, params),
                body=body,
                timeout=timeout,
                headers={"content-type": content_type},
            )
        except exceptions.ConnectionError as error:
            raise unanswered(error) from error
        except (exceptions.SerializationError, ValueError) as error:
            raise Unanswered(Broken.LOST, "the answer isn't the engine's JSON") from error
        except exceptions.TransportError as error:
            if not isinstance(error.status_code, int):
                raise unanswered(error) from error
            return error.status_code, error.info if error.info is not None else error.error
        return 200, data.parsed(parse) if isinstance(data, _Json) else data

    def close(self) -> None:
        self._transport.close()


class _ElasticWire:
    """Through elastic-transport.

    Not through elasticsearch-py, whose 9.x sends media types that an 8.x server refuses; with
    plain ``application/json`` this serves both.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        from elastic_transport import JsonSerializer, NodeConfig, Transport

        _quiet("elastic_transport.transport", logging.WARNING)

        class Unparsed(JsonSerializer):
            def json_loads(self, data: bytes) -> Any:
                return _Json(data)

            def dumps(self, data: Any) -> bytes:
                if not isinstance(data, bytes):
                    raise TypeError("bodies are bytes before they reach the transport")
                return data

        authorization = endpoint.authorization()
        headers = {"accept": JSON} | ({"authorization": authorization} if authorization else {})
        secure: dict[str, Any] = {
            "verify_certs": endpoint.verify_certs,
            "ssl_show_warn": False,
            "ca_certs": endpoint.ca_certs,
        }
        self._transport: elastic_transport.Transport = Transport(
            [
                NodeConfig(
                    scheme=host.scheme,
                    host=host.name,
                    port=host.port,
                    path_prefix=host.prefix,
                    headers=headers,
                    connections_per_node=endpoint.connections,
                    request_timeout=endpoint.timeout_seconds,
                    **(secure if host.scheme == "https" else {}),
                )
                for host in endpoint.addresses()
            ],
            serializers={JSON: Unparsed(), NDJSON: Unparsed()},
            max_retries=0,
            retry_on_status=(),
            meta_header=False,
        )

    def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        timeout: float | None,
        parse: Parse,
    ) -> tuple[int, Any]:
        from elastic_transport import SerializationError, TransportError
        from elastic_transport.client_utils import DEFAULT

        try:
            answer = self._transport.perform_request(
                method,
                _with(path, params),
                body=body,
                headers={"content-type": content_type},
                request_timeout=DEFAULT if timeout is None else timeout,
            )
        except SerializationError as error:
            raise Unanswered(Broken.LOST, "the answer isn't the engine's JSON") from error
        except TransportError as error:
            raise unanswered(error) from error
        status, body = answer.meta.status, answer.body
        if isinstance(body, _Json):
            body = body.parsed(parse if status < 300 else parse_exact)
        return status, body

    def close(self) -> None:
        self._transport.close()


def _with(path: str, params: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(params)}" if params else path
