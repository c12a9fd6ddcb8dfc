"""Dify's own ``ELASTICSEARCH_*`` and ``DB_*`` settings -> a configuration and Airflow connections.

For people who come from Dify's Elasticsearch settings: nothing has to be typed again. Passwords go
into the connections only, never into the YAML, a warning or a ``repr``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_logmigrate.config.entities import StoreType
from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.streams.registry import near

SEARCH_CONNECTION = "logs_search"
SOURCE_CONNECTION = "dify_postgres"

_PREFIX = "ELASTICSEARCH_"
_KNOWN = tuple(
    f"{_PREFIX}{name}"
    for name in (
        *("HOSTS", "USERNAME", "PASSWORD", "USE_SSL", "VERIFY_CERTS", "CA_CERTS", "TIMEOUT"),
        *("MAX_RETRIES", "INDEX_PREFIX", "RETENTION_DAYS"),
    )
)
_TRUTH = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}

_TEMPLATE = """\
version: 1

stores:
  dify_db: {{type: postgres, connection: {source}}}
  search: {{type: {engine}, connection: {search}}}

migrations:
  dify_logs:
    pack: dify
    source: dify_db
    target: search
    # Or name them: tenants: {{list: [...]}}
    tenants: {{discovered: {{file: dify-tenants.txt}}}}
    # The first day to migrate; months without rows cost nothing.
    from: 2024-01-01
    index_prefix: {prefix}
    # Where Dify keeps offloaded content, if it does (a folder, or any fsspec URL):
    # offload: {{url: "file:///app/api/storage"}}
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an environment says.

    :param yaml_text: a configuration that loads; it holds no secret.
    :param connections: Airflow connections by id, in the form ``airflow connections import`` reads.
        Secrets stand in them.
    :param warnings: what wasn't taken over, and what to do about it; no values of secrets.
    """

    yaml_text: str
    connections: Mapping[str, Mapping[str, Any]] = field(repr=False)
    warnings: tuple[str, ...] = ()


def import_dify_environment(
    env: Mapping[str, str], *, engine: StoreType = StoreType.ELASTICSEARCH
) -> Imported:
    """Translate an environment; other variables are ignored, unknown ``ELASTICSEARCH_*`` reported.

    :param env: for example ``os.environ``, or the pairs of Dify's ``.env`` file.
    :param engine: what really answers at the hosts.
    :raises ConfigInvalid: no host is given.
    """
    reader = _Reader(env)
    search = reader.search_connection(engine)
    prefix = reader.index_prefix()
    connections = {SEARCH_CONNECTION: search}
    if database := reader.database_connection():
        connections[SOURCE_CONNECTION] = database
    reader.tell_what_is_left()
    text = _TEMPLATE.format(
        source=SOURCE_CONNECTION, search=SEARCH_CONNECTION, engine=engine.value, prefix=prefix
    )
    return Imported(text, connections, tuple(reader.warnings))


@dataclass(slots=True)
class _Reader:
    env: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        return self.env.get(name, "").strip()

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.text(name).lower()
        if value and value not in _TRUTH:
            self.warnings.append(
                f"{name} is neither true nor false: {str(default).lower()} is used"
            )
        return _TRUTH.get(value, default)

    def number(self, name: str, *, default: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", value):
            self.warnings.append(f"{name} is no whole number: {default} is used")
            return default
        return int(value)

    def search_connection(self, engine: StoreType) -> dict[str, Any]:
        login = self.text("ELASTICSEARCH_USERNAME")
        password = self.env.get("ELASTICSEARCH_PASSWORD", "")
        use_ssl = self.flag("ELASTICSEARCH_USE_SSL", default=False)
        hosts: list[str] = []
        for given in _listed(self.text("ELASTICSEARCH_HOSTS")):
            host, user, secret = _without_login(given)
            if user or secret:
                self.warnings.append(
                    "a host of ELASTICSEARCH_HOSTS carries a login: it was moved to the connection"
                    if not login
                    else "a host of ELASTICSEARCH_HOSTS carries a login: it was dropped, because "
                    "ELASTICSEARCH_USERNAME is set"
                )
                login, password = (login, password) if login else (user, secret)
            if use_ssl and host.startswith("http://"):
                self.warnings.append(
                    f"{host} says http although ELASTICSEARCH_USE_SSL is true: https is used"
                )
                host = host.replace("http://", "https://", 1)
            hosts.append(host)
        if not hosts:
            raise ConfigInvalid(
                "no host is given",
                where="ELASTICSEARCH_HOSTS",
                next_step="set ELASTICSEARCH_HOSTS to one or more host:port, separated by commas",
            )
        verify = self.flag("ELASTICSEARCH_VERIFY_CERTS", default=True)
        if not verify:
            self.warnings.append(
                "ELASTICSEARCH_VERIFY_CERTS is false: anyone on the way can read the logs. Give "
                "ca_certs and set verify_certs to true in the connection"
            )
        extra: dict[str, Any] = {
            "verify_certs": verify,
            "timeout": self.number("ELASTICSEARCH_TIMEOUT", default=30),
        }
        if authorities := self.text("ELASTICSEARCH_CA_CERTS"):
            extra["ca_certs"] = authorities
        return {
            "conn_type": engine.value,
            "host": ",".join(dict.fromkeys(hosts)),
            "login": login or None,
            "password": password or None,
            "schema": "https" if use_ssl else "http",
            "extra": extra,
        }

    def index_prefix(self) -> str:
        value = self.text("ELASTICSEARCH_INDEX_PREFIX") or "dify"
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", value):
            self.warnings.append(
                "ELASTICSEARCH_INDEX_PREFIX can't begin index names (a-z, 0-9, _ and -, at most "
                "32 characters): dify is used"
            )
            return "dify"
        return value

    def database_connection(self) -> dict[str, Any] | None:
        missing = [
            name for name in ("DB_HOST", "DB_USERNAME", "DB_DATABASE") if not self.text(name)
        ]
        if missing:
            self.warnings.append(
                f"{', '.join(missing)} not set: make the connection {SOURCE_CONNECTION} by hand"
            )
            return None
        if (kind := self.text("DB_TYPE")) and not kind.lower().startswith("postgres"):
            self.warnings.append("DB_TYPE isn't postgresql: only PostgreSQL can be migrated from")
            return None
        return {
            "conn_type": "postgres",
            "host": self.text("DB_HOST"),
            "port": self.number("DB_PORT", default=5432),
            "login": self.text("DB_USERNAME"),
            "password": self.env.get("DB_PASSWORD") or None,
            "schema": self.text("DB_DATABASE"),
        }

    def tell_what_is_left(self) -> None:
        if self.text("ELASTICSEARCH_MAX_RETRIES"):
            self.warnings.append(
                "ELASTICSEARCH_MAX_RETRIES isn't taken over: requests are repeated as long as that "
                "is safe, and `retries` of the migration bounds the tasks' tries"
            )
        if self.text("ELASTICSEARCH_RETENTION_DAYS"):
            self.warnings.append(
                "ELASTICSEARCH_RETENTION_DAYS isn't taken over: this release deletes no indices"
            )
        for name in sorted(self.env):
            if name.startswith(_PREFIX) and name not in _KNOWN:
                self.warnings.append(f"{name} isn't known and was ignored{near(name, _KNOWN)}")


def _listed(value: str) -> list[str]:
    """Hosts written as a JSON list or separated by commas, trimmed, empty ones left out."""
    items: list[Any] = value.split(",")
    if value.startswith("["):
        try:
            items = json.loads(value)
        except ValueError:
            items = value.strip("[]").split(",")
    return [text for item in items if (text := str(item).strip().strip("\"'").rstrip("/"))]


def _without_login(host: str) -> tuple[str, str, str]:
    """Host, user and password of a URL that may carry a login."""
    parts = urlsplit(host if "://" in host else f"//{host}")
    if "@" not in parts.netloc:
        return host, "", ""
    login, _, _ = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    return host.replace(f"{login}@", "", 1), unquote(user), unquote(password)
