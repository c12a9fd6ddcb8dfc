from __future__ import annotations

import random

import pytest

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.ports import Target
from airflow_provider_logmigrate.stores.search.client import Endpoint, Engine, connect
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.unit.stores.search.building import START, plan


def test_a_stream_that_is_not_configured() -> None:
    client = connect(Endpoint(engine=Engine.OPENSEARCH, hosts=("http://127.0.0.1:1",)))
    target: Target = SearchTarget(client, shapes={}, rng=random.Random(1))  # type checked: the port
    with pytest.raises(PlanUnusable, match="isn't configured"):
        list(target.keys(plan(Engine.OPENSEARCH), hours=[START]))
