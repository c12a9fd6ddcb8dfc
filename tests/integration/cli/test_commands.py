"""The commands on real stores, in processes of their own."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

import pytest

from airflow_provider_logmigrate.core.errors import ProofFailed
from tests.integration.cli.conftest import Cli
from tests.integration.operators.stage import SOURCE, TARGET, Stage

UNIT = "events/acme/2025-01"


def test_from_check_to_rollback(cli: Cli, stage: Stage) -> None:
    stage.fill(100)
    checked = cli("check", "-o", "json")
    assert checked.code == 0, checked.err
    assert {row["what"]: row["state"] for row in checked.json} == {
        "ledger": "good",
        "logs target": "good",
        "logs source": "good",
    }

    planned = cli("plan", "--migration", "logs", "--tenant", "acme", "-o", "json")
    assert planned.code == 0, planned.err
    assert [unit["unit"] for unit in planned.json["units"]] == [UNIT]
    assert stage.aliases() == {}
    run = stage.run()
    assert run.plan()[0]["plan"] == planned.json["hash"], "the same plan as the DAG's"

    run.whole()
    report = cli("status", "-o", "json")
    assert report.code == 0, report.err
    (unit,) = report.json["units"]
    assert (unit["unit"], unit["phase"], unit["documents"]) == (UNIT, "copied", 100)
    assert unit["certificate"] == "equal"
    assert [r["outcome"] for r in report.json["runs"]] == ["completed"]
    (cutover,) = report.json["cutovers"]
    assert cutover["state"] == "applied"

    before = stage.aliases()
    undone = cli("rollback", cutover["cutover"], "-o", "json")
    assert undone.code == 0, undone.err
    assert {(row["action"], row["alias"]) for row in undone.json} == {
        ("remove", alias) for alias in before
    }
    assert stage.aliases() == {}
    again = cli("rollback", cutover["cutover"], "-o", "json")
    assert (again.code, again.json) == (0, [])
    assert "was rolled back already" in again.err


def test_check_tells_everything_that_is_wrong_at_once(cli: Cli, stage: Stage) -> None:
    stage.configure(tenants=["acme", "x" * 300])
    stage.connect(SOURCE, conn_type="postgres", host="127.0.0.1", port=1, login="u", schema="d")
    stage.connect(TARGET, **stage.search_fields() | {"conn_type": "mysql"})
    checked = cli("check", "-o", "json")
    assert checked.code == 1
    states = {row["what"]: (row["state"], row["detail"]) for row in checked.json}
    assert {what for what, (state, _) in states.items() if state == "wrong"} == {
        "migrations.logs.tenants.list[1]",
        "logs source",
        "logs target",
    }
    assert SOURCE in states["logs source"][1]
    assert "type is mysql" in states["logs target"][1]
    assert states["ledger"][0] == "good"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "--migration", "logs", "--tenant", "globex"], "TenantInvalid: "),
        (["rollback", "nope"], "PlanUnusable: "),
    ],
)
def test_an_expected_failure_is_one_line_and_exit_code_1(
    cli: Cli, stage: Stage, words: list[str], said: str
) -> None:
    failed = cli(*words)
    assert failed.code == 1
    assert failed.error.startswith(said)
    assert "Next: " in failed.error


def test_wrong_words_are_exit_code_2(cli: Cli, stage: Stage) -> None:
    failed = cli("plan", "--tenant", "acme")
    assert failed.code == 2
    assert "--migration" in failed.err


def test_status_is_bad_when_a_proof_or_a_run_is(cli: Cli, stage: Stage) -> None:
    stage.fill(20)
    stage.run().whole()
    stage.execute("UPDATE events SET note = 'changed'")
    run = stage.run()
    run.copy()
    stage.execute("DELETE FROM events WHERE id = 'e00003'")
    with pytest.raises(ProofFailed):
        run.prove()
    report = cli("status", "--tenant", "acme", "-o", "json")
    assert report.code == 1
    (unit,) = report.json["units"]
    assert unit["certificate"] == "different"
    assert unit["documents"] == 20, "each of them, however often it was written"


def test_a_connection_kept_in_airflow_s_database(
    cli: Cli, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.airflow("db", "migrate").code == 0
    monkeypatch.delenv(f"AIRFLOW_CONN_{TARGET.upper()}")
    missing = cli("check", "--migration", "logs", "-o", "json")
    assert missing.code == 1
    states = {row["what"]: row for row in missing.json}
    assert "airflow connections add" in states["logs target"]["detail"]
    fields = {k: v for k, v in stage.search_fields().items() if v is not None}
    added = cli.airflow("connections", "add", TARGET, "--conn-json", json.dumps(fields))
    assert added.code == 0, added.err
    checked = cli("check", "--migration", "logs", "-o", "json")
    assert checked.code == 0, checked.err


DIFY_ENV = """\
# Dify's own settings
DB_HOST=db.example
DB_USERNAME=dify
DB_DATABASE="dify"
DB_PASSWORD='it"s $ours'
ELASTICSEARCH_HOSTS=https://one.example:9200,https://two.example:9200
export ELASTICSEARCH_USERNAME=elastic  # a comment
ELASTICSEARCH_PASSWORD=pa's"s'w0rd"
ELASTICSEARCH_USE_SSL=true
"""


def test_import_env_keeps_passwords_apart_from_the_yaml(
    cli: Cli, stage: Stage, tmp_path: Path
) -> None:
    from airflow.secrets.local_filesystem import load_connections_dict

    env = tmp_path / "dify.env"
    env.write_text(DIFY_ENV)
    told = cli("import-env", "--env-file", str(env))
    assert told.code == 0, told.err
    assert "$ours" not in told.out
    assert "w0rd" not in told.out
    stage.config.write_text(told.out)

    commands = [
        shlex.split(line) for line in told.err.splitlines() if line.startswith("airflow conn")
    ]
    given = {words[3]: json.loads(words[5]) for words in commands}
    assert given["dify_postgres"]["password"] == 'it"s $ours'
    assert given["logs_search"]["password"] == "pa's\"s'w0rd\""
    assert given["logs_search"]["login"] == "elastic"

    kept = tmp_path / "connections.json"
    options = ("--connections-file", str(kept), "--engine", "opensearch", "-o", "json")
    told = cli("import-env", "--env-file", str(env), *options)
    assert told.code == 0, told.err
    assert told.json["connections"] == ["logs_search", "dify_postgres"]
    assert "$ours" not in told.out + told.err
    search = given["logs_search"] | {"conn_type": "opensearch"}
    assert json.loads(kept.read_text()) == given | {"logs_search": search}
    assert "{type: opensearch, connection: logs_search}" in told.json["yaml"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    loaded = load_connections_dict(str(kept))
    assert loaded["logs_search"].password == "pa's\"s'w0rd\""
    again = cli("import-env", "--env-file", str(env), "--connections-file", str(kept))
    assert again.code == 1
    assert "File exists" in again.error


def test_discover_writes_the_tenants_file(cli: Cli, stage: Stage) -> None:
    stage.configure()
    document = json.loads(stage.config.read_text())
    document["migrations"]["logs"]["tenants"] = {"discovered": {"file": "tenants.txt"}}
    stage.config.write_text(json.dumps(document))
    nobody = cli("discover", "logs")
    assert nobody.code == 1
    assert "no stream has any tenant" in nobody.error

    for n, tenant in enumerate(("globex", "acme", "a,b")):
        stage.add(f"e{n}", "2025-01-10", tenant=tenant)
    found = cli("discover", "logs", "-o", "json")
    assert found.code == 0, found.err
    assert [row["tenant"] for row in found.json] == ["a,b", "acme", "globex"]
    listed = (stage.folder / "tenants.txt").read_text().splitlines()
    assert [line for line in listed if not line.startswith("#")] == ["a,b", "acme", "globex"]
    assert stage.run("a,b").whole()["totals"]["documents"] == 1

    stage.add("odd", "2025-01-10", tenant="two\nlines")
    found = cli("discover", "logs", "-o", "json")
    assert found.code == 1
    assert len(found.json) == 3
    assert "'two\\nlines'" in found.err
