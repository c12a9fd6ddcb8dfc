"""What one executed step leaves behind: inputs, process data, outputs and metadata, as JSON text.

The texts are assembled from fragments that are escaped already, in the spelling of ``json.dumps``
with ``ensure_ascii``; encoding dictionaries would cost several times as much per row.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from devstack.sampledata.texts import TextPools


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the steps of a run have in common.

    :param run_id: id of the run, or of the debugging session of a single step
    :param app_id: id of the app
    :param workflow_id: id of the workflow version
    :param user_id: who started it
    :param ticket: a word that occurs in no other run, for exact searches
    :param question: what the user asked, as the inside of a JSON string
    """

    run_id: str
    app_id: str
    workflow_id: str
    user_id: str
    ticket: str
    question: str


@dataclass(frozen=True, slots=True)
class StepContent:
    """The JSON columns of a node execution, and the tokens it used."""

    inputs: str | None
    process_data: str | None
    outputs: str | None
    metadata: str | None = None
    tokens: int = 0


def quick_uuid(rng: random.Random) -> str:
    """A random version 4 uuid as text; written out because ``uuid.UUID`` costs three times more."""
    digits = f"{rng.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class StepContents:
    """Makes the content of steps by node type.

    :param rng: the random numbers of the generator
    :param pools: the texts to draw from
    """

    def __init__(self, *, rng: random.Random, pools: TextPools) -> None:
        self._rng = rng
        self._random = rng.random
        self._short = [text.escaped for text in pools.short]
        self._medium = [text.escaped for text in pools.medium]
        self._long = [text.escaped for text in pools.long]
        self._makers: dict[str, Callable[[RunFacts], StepContent]] = {
            "start": self._start,
            "llm": self._llm,
            "knowledge-retrieval": self._knowledge_retrieval,
            "if-else": self._if_else,
            "code": self._code,
            "http-request": self._http_request,
            "template-transform": self._template_transform,
            "tool": self._tool,
            "parameter-extractor": self._parameter_extractor,
            "iteration": self._iteration,
            "answer": self._answer,
            "end": self._end,
        }

    def make(self, node_type: str, run: RunFacts) -> StepContent:
        """The content of one successful execution of a step of this type."""
        return self._makers[node_type](run)

    def question(self) -> str:
        """A user's question as the inside of a JSON string."""
        return self._pick(self._short)

    def run_inputs(self, run: RunFacts) -> str:
        """The inputs of the run, which are those of its start step as well."""
        return (
            f'{{"question": "{run.question}", "ticket": "{run.ticket}", '
            f'"background": "{self._pick(self._medium)}", "sys.files": [], '
            f'"sys.user_id": "{run.user_id}", "sys.app_id": "{run.app_id}", '
            f'"sys.workflow_id": "{run.workflow_id}", "sys.workflow_run_id": "{run.run_id}"}}'
        )

    def _pick(self, pool: list[str]) -> str:
        return pool[int(self._random() * len(pool))]

    def _start(self, run: RunFacts) -> StepContent:
        inputs = self.run_inputs(run)
        return StepContent(inputs, None, inputs)

    def _llm(self, run: RunFacts) -> StepContent:
        asked = 50 + int(self._random() * 3950)
        given = 10 + int(self._random() * 890)
        tokens = asked + given
        price = f"{asked * 2.5e-6 + given * 1e-5:.7f}"
        usage = (
            f'{{"prompt_tokens": {asked}, "prompt_unit_price": "0.0025", '
            f'"prompt_price_unit": "0.001", "prompt_price": "{asked * 2.5e-6:.7f}", '
            f'"completion_tokens": {given}, "completion_unit_price": "0.01", '
            f'"completion_price_unit": "0.001", "completion_price": "{given * 1e-5:.7f}", '
            f'"total_tokens": {tokens}, "total_price": "{price}", "currency": "USD", '
            f'"latency": {self._random() * 12!r}}}'
        )
        context = self._pick(self._medium)
        text = self._pick(self._long)
        return StepContent(
            f'{{"#context#": "{context}"}}' if self._random() < 0.5 else None,
            '{"model_mode": "chat", "prompts": [{"role": "system", "text": '
            f'"{self._pick(self._long)}", "files": []}}, {{"role": "user", "text": '
            f'"{run.question}", "files": []}}], "usage": {usage}, "finish_reason": "stop", '
            '"model_provider": "langgenius/openai/openai", "model_name": "gpt-4o"}',
            f'{{"text": "{text}", "reasoning_content": "", "usage": {usage}, '
            '"finish_reason": "stop"}',
            f'{{"total_tokens": {tokens}, "total_price": "{price}", "currency": "USD"}}',
            tokens,
        )

    def _knowledge_retrieval(self, run: RunFacts) -> StepContent:
        hits = ", ".join(
            '{"metadata": {"_source": "knowledge", "dataset_name": "policies", "document_id": '
            f'"{quick_uuid(self._rng)}", "score": {self._random()!r}, "position": {number}}}, '
            f'"title": "{self._pick(self._short)}", "content": "{self._pick(self._medium)}"}}'
            for number in range(1, 2 + int(self._random() * 4))
        )
        return StepContent(f'{{"query": "{run.question}"}}', None, f'{{"result": [{hits}]}}')

    def _if_else(self, run: RunFacts) -> StepContent:
        found = "true" if self._random() < 0.5 else "false"
        return StepContent(
            f'{{"conditions": [{{"actual_value": "{run.question}", "expected_value": "refund", '
            '"comparison_operator": "contains"}]}',
            '{"condition_results": [{"group": {"logical_operator": "and"}, "results": '
            f'[{found}], "final_result": {found}}}]}}',
            f'{{"result": {found}, "selected_case_id": "{found}"}}',
        )

    def _code(self, run: RunFacts) -> StepContent:
        return StepContent(
            f'{{"arg1": "{self._pick(self._medium)}", "arg2": {int(self._random() * 10**6)}}}',
            None,
            f'{{"result": "{self._pick(self._medium)}", "items": [{self._random()!r}, '
            f'{self._random()!r}], "ticket": "{run.ticket}", "ok": true, "rest": null}}',
        )

    def _http_request(self, run: RunFacts) -> StepContent:
        request_id = quick_uuid(self._rng)
        return StepContent(
            None,
            f'{{"request": "GET /v1/tickets?q={run.ticket} HTTP/1.1\\r\\nHost: api.example.com'
            '\\r\\nAccept: */*\\r\\n\\r\\n"}',
            f'{{"status_code": 200, "body": "{{\\"id\\": \\"{request_id}\\", \\"note\\": '
            f'{int(self._random() * 9999)}}}", "headers": {{"content-type": "application/json", '
            f'"x-request-id": "{request_id}"}}, "files": []}}',
        )

    def _template_transform(self, run: RunFacts) -> StepContent:
        text = self._pick(self._medium)
        return StepContent(f'{{"text": "{text}"}}', None, f'{{"output": "{run.ticket}: {text}"}}')

    def _tool(self, run: RunFacts) -> StepContent:
        return StepContent(
            f'{{"tool_parameters": {{"query": "{run.question}"}}}}',
            None,
            f'{{"text": "{self._pick(self._long)}", "json": [{{"url": "https://example.com/'
            f'{int(self._random() * 10**9)}", "rank": 1}}], "files": []}}',
            '{"tool_info": {"provider_type": "builtin", "provider_id": "search", "tool": "web"}}',
        )

    def _parameter_extractor(self, run: RunFacts) -> StepContent:
        tokens = 100 + int(self._random() * 900)
        return StepContent(
            f'{{"query": "{run.question}"}}',
            f'{{"model_mode": "chat", "tokens": {tokens}}}',
            f'{{"__is_success": 1, "__reason": null, "ticket": "{run.ticket}"}}',
            f'{{"total_tokens": {tokens}, "total_price": "{tokens * 2.5e-6:.7f}", '
            '"currency": "USD"}',
            tokens,
        )

    def _iteration(self, run: RunFacts) -> StepContent:
        return StepContent(
            f'{{"iterator_selector": ["{self._pick(self._short)}", "{run.ticket}"]}}',
            None,
            f'{{"output": ["{self._pick(self._medium)}", "{self._pick(self._short)}"]}}',
            f'{{"iteration_id": "{int(self._random() * 10**13)}", "iteration_index": 0, '
            f'"iteration_duration_map": {{"0": {self._random()!r}}}}}',
        )

    def _answer(self, run: RunFacts) -> StepContent:
        answer = f"{self._pick(self._long)} ({run.ticket})"
        return StepContent(None, None, f'{{"answer": "{answer}", "files": []}}')

    def _end(self, run: RunFacts) -> StepContent:
        outputs = f'{{"text": "{self._pick(self._medium)}", "ticket": "{run.ticket}"}}'
        return StepContent(outputs, None, outputs)
