"""Both search engines behind one name, for tests that must hold on each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from devstack.engine import SearchEngine


@pytest.fixture(scope="session", params=["opensearch", "elasticsearch"])
def search_engine(request: pytest.FixtureRequest) -> SearchEngine:
    """OpenSearch, then Elasticsearch: a test that takes this runs once on each."""
    server: SearchEngine = request.getfixturevalue(f"{request.param}_server")
    return server
