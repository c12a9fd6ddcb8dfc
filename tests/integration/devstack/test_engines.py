from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from devstack.elasticsearch import ElasticsearchServer
from devstack.engine import SearchEngine
from devstack.errors import DevstackError
from devstack.opensearch import OpenSearchServer

ENGINES = pytest.mark.parametrize("engine", [OpenSearchServer, ElasticsearchServer])


def call(server: SearchEngine, method: str, path: str, body: object = None) -> Any:
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.request(method, f"{server.url}{path}", json=body)
        answer.raise_for_status()
        return answer.json()


@ENGINES
def test_documents_and_address_outlive_a_crash(
    engine: type[SearchEngine], server_root: Path
) -> None:
    root = server_root / f"{engine.name} crash"
    settings = {"thread_pool.write.queue_size": 17}
    server = engine(root, heap_mb=256, settings=settings).start()
    url = server.url
    # The codec needs a native library on one of the engines.
    call(server, "PUT", "/logs", {"settings": {"index": {"codec": "best_compression"}}})
    call(server, "PUT", "/logs/_doc/1?refresh=true", {"text": "kept"})
    server.process.kill()

    with engine(root, heap_mb=256, settings=settings) as again:
        assert again.url == url
        assert call(again, "GET", "/logs/_search?q=text:kept")["hits"]["total"]["value"] == 1
        (pool,) = call(again, "GET", "/_cat/thread_pool/write?format=json&h=queue_size")
        assert pool["queue_size"] == "17"
        assert again.start() is again
        pid = again.process.pid
    assert pid is not None
    assert not again.process.running()
    assert again.process.log.read_text().endswith("closed in order\n")
    again.stop()


@ENGINES
def test_a_failed_start_shows_the_log(engine: type[SearchEngine], server_root: Path) -> None:
    server = engine(server_root / f"{engine.name} wrong", settings={"no.such.setting": 1})
    with pytest.raises(DevstackError, match=r"no\.such\.setting") as caught:
        server.start()
    assert str(server.process.log) in str(caught.value)


def test_the_shared_engines_say_what_they_are(search_engine: SearchEngine) -> None:
    version = call(search_engine, "GET", "/")["version"]
    expected = {"opensearch": "3.8.0", "elasticsearch": "9.5.3"}
    assert version["number"] == expected[search_engine.name]


def test_the_modules_of_the_distribution_are_there(opensearch_server: OpenSearchServer) -> None:
    analysed = call(
        opensearch_server, "POST", "/_analyze", {"analyzer": "english", "text": "running dogs"}
    )
    assert [token["token"] for token in analysed["tokens"]] == ["run", "dog"]
    call(opensearch_server, "PUT", "/devstack-modules/_doc/1?refresh=true", {"n": 1})
    call(
        opensearch_server,
        "POST",
        "/devstack-modules/_update_by_query?refresh=true",
        {"script": {"source": "ctx._source.n += 41"}},
    )
    assert call(opensearch_server, "GET", "/devstack-modules/_source/1") == {"n": 42}
    call(opensearch_server, "DELETE", "/devstack-modules")
