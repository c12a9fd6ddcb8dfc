"""``dead-letters``, ``certificate`` and ``verify`` on real stores: what they say and their codes.

Called in this process, but for one: a process costs seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.cli.conftest import Cli, Said
from tests.integration.operators.stage import EVENT_STREAM, Stage
from tests.unit.cli.test_definition import parser

UNIT = "events/acme/2025-01"
OF = ("--migration", "logs", "--tenant", "acme")

Here = Callable[..., Said]


@dataclass
class _Called:
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Said:
        args = parser().parse_args(["logmigrate", *words])
        try:
            args.func(args)
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = self.capsys.readouterr()
        return Said(code, out, err)


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Here:
    return _Called(capsys)


@pytest.fixture
def refused(stage: Stage) -> Stage:
    """Forty rows, two of which hold no number and have no document."""
    numbers = EVENT_STREAM | {"fields": {"note": {"type": "long"}}}
    stage.configure(streams={"events": numbers})
    stage.fill(40)
    stage.execute("UPDATE events SET note = 'seven' WHERE id IN ('e00005', 'e00006')")
    run = stage.run()
    run.copy()
    run.prove()
    return stage


def test_dead_letters_from_list_to_redrive(refused: Stage, cli: Cli, here: Here) -> None:
    listed = cli("dead-letters", "list", *OF, "-o", "json")
    assert listed.code == 0, listed.err
    found: list[dict[str, Any]] = listed.json
    assert [(x["unit"], x["key"], x["tries"]) for x in found] == [
        (UNIT, "e00005", 1),
        (UNIT, "e00006", 1),
    ]
    assert "seven" in found[0]["reason"]
    first, second = (str(letter["id"]) for letter in found)

    shown = here("dead-letters", "show", first, "-o", "json")
    assert shown.code == 0
    assert json.loads(shown.json["document"])["note"] == "seven"
    assert here("dead-letters", "show", "987654").code == 1
    no_reason = here("dead-letters", "waive", first, "--why", " ")
    assert no_reason.code == 1
    assert no_reason.error.startswith("PlanUnusable: a waiver needs a reason")

    waived = here("dead-letters", "waive", first, "--why", "a joke", "-o", "json")
    assert waived.code == 0
    assert [(x["state"], x["why"]) for x in waived.json] == [("waived", "a joke")]
    assert len(here("dead-letters", "list", *OF, "-o", "json").json) == 1
    both = here("dead-letters", "list", *OF, "--state", "all", "--reason", "[note]", "-o", "json")
    assert [x["state"] for x in both.json] == ["waived", "open"]

    again = here("dead-letters", "redrive", *OF, "-o", "json")
    assert again.code == 1
    assert [(x["letters"], x["refused"]) for x in again.json] == [(1, 1)]
    assert "1 of 1 refused again" in again.err
    refused.execute("UPDATE events SET note = '7' WHERE id = 'e00006'")
    done = here("dead-letters", "redrive", *OF, "--units", UNIT, "-o", "json")
    assert done.code == 0, done.err
    assert [(x["arrived"], x["verdict"]) for x in done.json] == [(1, "equal_but_rejected")]
    empty = here("dead-letters", "redrive", *OF, "-o", "json")
    assert (empty.code, empty.json) == (0, [])
    assert here("dead-letters", "list", "--migration", "logs", "--tenant", "globex").code == 1
    assert here("dead-letters", "show", second, "-o", "json").json["state"] == "redriven"


def test_a_certificate_is_shown_and_proven_again(refused: Stage, here: Here) -> None:
    status = here("status", "-o", "json")
    (unit,) = status.json["units"]
    proof = unit["proof"]
    shown = here("certificate", proof, "-o", "json")
    assert shown.code == 0
    assert (shown.json["id"], shown.json["unit"], shown.json["rejected"]) == (proof, UNIT, 2)
    assert "FROM" in shown.json["by_hand"]["source"]["sql"]
    assert shown.json["by_hand"]["target"]["path"].startswith(f"/{refused.index(UNIT)}/")
    text = here("certificate", proof)
    assert shown.json["by_hand"]["source"]["sql"] in text.out
    for secret in ("password", refused.source_dsn.partition("//")[2].partition("@")[0]):
        assert secret not in shown.out + text.out

    holds = here("verify", "--certificate", proof, "-o", "json")
    assert (holds.code, holds.json["holds"], holds.json["differences"]) == (0, True, [])
    refused.client.request("DELETE", f"/{refused.index(UNIT)}/_doc/e00009")
    broken = here("verify", "--certificate", proof, "-o", "json")
    assert (broken.code, broken.json["holds"], broken.json["verdict"]) == (1, False, "different")
    assert "documents: 38 then, 37 now" in broken.json["differences"]
    assert ["missing", "e00009", ""] in broken.json["findings"]
    told = here("verify", "--certificate", proof)
    assert (told.code, "doesn't hold" in told.out, "e00009" in told.out) == (1, True, True)
    assert here("status", "-o", "json").json["units"][0]["proof"] == proof, "nothing is stored"
    refused.client.request("DELETE", f"/{refused.index(UNIT)}")
    gone = here("verify", "--certificate", proof)
    assert gone.code == 1
    assert gone.error.startswith("PlanUnusable: the index of the certificate isn't there any more")

    unknown = here("verify", "--certificate", "nope")
    assert unknown.code == 1
    assert unknown.error.startswith("PlanUnusable: the ledger has no such certificate")
