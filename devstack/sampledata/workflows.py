"""The workflows whose runs are generated: apps, versions, their steps and their graphs.

Runs of one workflow repeat its steps and carry its graph, as in Dify, where every run stores the
whole canvas. A graph is therefore encoded once here and only referred to by the runs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from devstack.sampledata.profiles import Profile
from devstack.sampledata.texts import compose

APPS_PER_TENANT = 9
VERSIONS_PER_APP = 2

_APP_TYPES = ("workflow", "chat", "workflow", "chat", "workflow", "chat", "workflow", "workflow",
              "rag-pipeline")  # fmt: skip
_MIDDLE = {
    "llm": 22,
    "knowledge-retrieval": 11,
    "if-else": 10,
    "code": 11,
    "http-request": 7,
    "template-transform": 7,
    "tool": 6,
    "parameter-extractor": 3,
    "iteration": 2,
}
_TITLES = {
    "llm": ("LLM", 'Draft "answer"', "大模型回答", "Summarise"),
    "knowledge-retrieval": ("Knowledge Retrieval", "知识检索", "Look up policy"),
    "if-else": ("IF/ELSE", "条件分支"),
    "code": ("Code", "Clean \\ normalise", "代码执行"),
    "http-request": ("HTTP Request", "Call CRM"),
    "template-transform": ("Template", "模板转换"),
    "tool": ("Web search", "搜索工具"),
    "parameter-extractor": ("Extract fields", "参数提取"),
    "iteration": ("Iteration", "迭代"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """A node of a workflow."""

    node_id: str
    node_type: str
    title: str


@dataclass(frozen=True, slots=True)
class Workflow:
    """One published version of an app's workflow."""

    tenant_id: str
    app_id: str
    workflow_id: str
    app_type: str
    version: str
    steps: tuple[Step, ...]
    graph: str


def random_uuid(rng: random.Random) -> str:
    """A random uuid (version 4) as text."""
    return str(UUID(int=rng.getrandbits(128), version=4))


def build_workflows(profile: Profile) -> dict[str, tuple[Workflow, ...]]:
    """All workflows by tenant. A tenant's workflows don't depend on how many tenants there are."""
    return {tenant: tuple(_of_tenant(profile, tenant)) for tenant in profile.tenant_ids}


def _of_tenant(profile: Profile, tenant_id: str) -> Iterator[Workflow]:
    rng = random.Random(f"{profile.seed}/workflows/{tenant_id}")
    for number in range(APPS_PER_TENANT):
        app_id = random_uuid(rng)
        app_type = _APP_TYPES[number % len(_APP_TYPES)]
        for version in range(VERSIONS_PER_APP):
            steps = _steps(rng, app_type)
            yield Workflow(
                tenant_id=tenant_id,
                app_id=app_id,
                workflow_id=random_uuid(rng),
                app_type=app_type,
                version=f"2024-1{version}-0{number % 9 + 1} 08:15:00.{rng.randrange(10**6):06d}",
                steps=steps,
                graph=_graph(rng, steps, profile.graph_bytes * rng.lognormvariate(0, 0.35)),
            )


def _steps(rng: random.Random, app_type: str) -> tuple[Step, ...]:
    """4 to 30 steps, median 8, from a start to an end (an answer in a chat)."""
    count = max(4, min(30, round(rng.lognormvariate(0, 0.4) * 8)))
    types = rng.choices(tuple(_MIDDLE), tuple(_MIDDLE.values()), k=count - 2)
    last = "answer" if app_type == "chat" else "end"
    node_id = 1_700_000_000_000 + rng.randrange(10**10)
    steps = [Step(str(node_id), "start", "开始" if rng.random() < 0.3 else "Start")]
    for number, node_type in enumerate(types, start=2):
        node_id += 1 + rng.randrange(90_000)
        title = rng.choice(_TITLES[node_type])
        steps.append(Step(str(node_id), node_type, f"{title} {number}"))
    steps.append(Step("answer" if last == "answer" else str(node_id + 7), last, last.capitalize()))
    return tuple(steps)


def _graph(rng: random.Random, steps: tuple[Step, ...], size: float) -> str:
    """The canvas as Dify stores it, with prompts and code long enough to reach about the size."""
    nodes: list[dict[str, object]] = []
    for number, step in enumerate(steps):
        position = {"x": 80 + 304 * number, "y": 282 + rng.randrange(-200, 200)}
        data: dict[str, object] = {
            "type": step.node_type,
            "title": step.title,
            "desc": "",
            "selected": False,
        }
        nodes.append(
            {
                "id": step.node_id,
                "type": "custom",
                "data": data,
                "position": position,
                "width": 244,
                "height": 90,
            }
        )
    edges = [
        {
            "id": f"{left.node_id}-source-{right.node_id}-target",
            "type": "custom",
            "source": left.node_id,
            "target": right.node_id,
        }
        for left, right in pairwise(steps)
    ]
    graph = {"nodes": nodes, "edges": edges, "viewport": {"x": 0, "y": 0, "zoom": 0.7}}
    missing = int(size) - len(json.dumps(graph))
    middle = nodes[1:-1]
    for node in middle:
        prompt = compose(rng, max(20, missing // len(middle)))
        key = "code" if steps[nodes.index(node)].node_type == "code" else "prompt_template"
        content = prompt if key == "code" else [{"role": "system", "text": prompt}]
        node["data"] = {**_data(node), key: content}
    return json.dumps(graph)


def _data(node: dict[str, object]) -> dict[str, object]:
    data = node["data"]
    assert isinstance(data, dict)
    return data
