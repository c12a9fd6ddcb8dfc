"""The age of an index's data, in the forms that outlive the copy.

It is the youngest document's event time and goes into ``_meta``; where Elasticsearch's lifecycles
exist, they are told too. An index's own age is that of the copy, which retention must not go by.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow_provider_logmigrate.stores.search.client import Engine, SearchClient

ORIGINATION = "lifecycle.origination_date"
"""Setting by which Elasticsearch's lifecycles count. Not known to OpenSearch and to serverless."""


def text(moment: datetime) -> str:
    """As it stands in ``_meta``."""
    return moment.astimezone(timezone.utc).isoformat()


def lifecycle(client: SearchClient, youngest: datetime | None) -> dict[str, Any]:
    """Settings that tell lifecycles the age; none where there are no lifecycles."""
    if youngest is None or client.engine is not Engine.ELASTICSEARCH:
        return {}
    return {ORIGINATION: int(youngest.timestamp() * 1000)}
