"""Building a ledger: free of connections and secrets."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest
from sqlalchemy import make_url

from airflow_provider_logmigrate.core.errors import ConnectionInvalid
from airflow_provider_logmigrate.ledger.ledger import Ledger

ADDRESS = "postgresql://user:s3cr%40t@db.example:5433/logs?sslpassword=0ther"


@pytest.mark.parametrize(
    "url", [ADDRESS, ADDRESS.replace("postgresql:", "postgres:"), make_url(ADDRESS)]
)
def test_building_connects_to_nothing_and_shows_no_secret(url: str) -> None:
    ledger = Ledger(url, who="tester")

    assert repr(ledger) == "Ledger(ledger db.example:5433/logs)"
    assert ledger.who == "tester"
    ledger.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:s3cret@h/d", "needs PostgreSQL, not mysql"),
        ("s3cret nonsense", "can't be read"),
        ("postgresql://u:s3cret@h:port/d", "can't be read"),
    ],
)
def test_a_wrong_address_is_refused_without_being_shown(url: str, message: str) -> None:
    with pytest.raises(ConnectionInvalid, match=message) as caught:
        Ledger(url, who="tester")

    assert "s3cret" not in str(caught.value)
    # The traceback shows our own source line, which is a variable name, and no cause.
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_importing_the_ledger_loads_neither_airflow_nor_alembic() -> None:
    script = (
        "import sys, airflow_provider_logmigrate.ledger.journal\n"
        "print({'airflow', 'alembic', 'psycopg2'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "set()\n"
