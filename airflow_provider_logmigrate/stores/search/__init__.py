"""OpenSearch and Elasticsearch behind one port (:class:`~core.ports.Target`).

Import from the modules themselves: ``client`` (endpoint and requests), ``mapping``, ``template``,
``index``, ``bulk``, ``target``, ``alias`` and ``status``. Client libraries are imported when a
connection is made, so importing this package costs nothing while DAG files are parsed.
"""

from __future__ import annotations
