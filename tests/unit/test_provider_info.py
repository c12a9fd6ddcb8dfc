"""The provider information: valid for Airflow, and naming only things that exist."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import airflow_provider_logmigrate
from airflow_provider_logmigrate.get_provider_info import get_provider_info

INFO = get_provider_info()
OPTION_KEYS = {"description", "version_added", "type", "example", "default"}


def airflow_schema(name: str) -> dict[str, Any]:
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    assert spec.submodule_search_locations
    schema: dict[str, Any] = json.loads(Path(spec.submodule_search_locations[0], name).read_text())
    return schema


def named_modules(kind: str) -> list[str]:
    return [module for entry in INFO.get(kind, []) for module in entry["python-modules"]]


def named_attributes() -> list[str]:
    connection_types = [entry["hook-class-name"] for entry in INFO.get("connection-types", [])]
    return [*INFO["extra-links"], *INFO["cli"], *connection_types]


def public_modules_of(package: str) -> set[str]:
    path = Path(airflow_provider_logmigrate.__file__).parent / package
    return {
        f"airflow_provider_logmigrate.{package}.{found.name}"
        for found in pkgutil.iter_modules([str(path)])
        if not found.name.startswith("_")
    }


def test_valid_against_the_installed_airflow() -> None:
    schema = airflow_schema("provider_info.schema.json")

    jsonschema.validate(INFO, schema)
    assert INFO.keys() <= schema["properties"].keys()


@pytest.mark.parametrize("path", named_attributes())
def test_named_object_can_be_imported(path: str) -> None:
    module, _, attribute = path.rpartition(".")

    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize("module", [*named_modules("operators"), *named_modules("hooks")])
def test_named_module_can_be_imported(module: str) -> None:
    assert importlib.import_module(module).__name__ == module


def test_every_operator_class_is_in_a_named_module() -> None:
    from airflow.sdk import BaseOperator

    defining = set()
    for name in public_modules_of("operators"):
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, BaseOperator):
                defining.add(value.__module__)
    ours = {name for name in defining if name.startswith("airflow_provider_logmigrate.")}
    ours.discard("airflow_provider_logmigrate.operators.base")  # what the others have in common

    assert ours == set(named_modules("operators"))


def test_config_options_are_complete() -> None:
    for section in INFO["config"].values():
        for name, option in section["options"].items():
            assert option.keys() >= OPTION_KEYS, name
            assert option["default"] is None or isinstance(option["default"], str), name


def test_airflow_reads_our_config_defaults() -> None:
    from airflow.configuration import conf

    assert conf.get("logmigrate", "ledger_conn_id") == "logmigrate_ledger"
    assert conf.getint("logmigrate", "max_tenant_dags") == 500
