"""What Airflow's provider manager is told about this package.

Every Airflow process calls this once at start, so nothing is imported here but the version. The
plugin is not named: Airflow only loads plugins named in provider information when
``[core] lazy_discover_providers`` is off, hence the ``airflow.plugins`` entry point instead.
"""

from __future__ import annotations

from typing import Any

_INTEGRATION = "LogMigrate"


def get_provider_info() -> dict[str, Any]:
    """The provider information, valid against Airflow's ``provider_info.schema.json``.

    No connection types are listed: the stores are reached through the types that Airflow's own
    postgres, opensearch and elasticsearch providers define, and a type named twice is refused.
    """
    return {
        "package-name": "airflow-provider-logmigrate",
        "name": "LogMigrate",
        "description": (
            "Moves per-tenant logs from PostgreSQL to OpenSearch or Elasticsearch: resumable, "
            "proven equal, switched over atomically."
        ),
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["service"]}],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_provider_logmigrate.operators.dry_run",
                    "airflow_provider_logmigrate.operators.backfill",
                    "airflow_provider_logmigrate.operators.validate",
                    "airflow_provider_logmigrate.operators.reconcile",
                    "airflow_provider_logmigrate.operators.follow",
                    "airflow_provider_logmigrate.operators.redrive",
                    "airflow_provider_logmigrate.operators.alias_swap",
                    "airflow_provider_logmigrate.operators.report",
                    "airflow_provider_logmigrate.operators.sweep",
                    "airflow_provider_logmigrate.operators.sweep_trigger",
                    "airflow_provider_logmigrate.operators.purge",
                    "airflow_provider_logmigrate.operators.restore",
                    "airflow_provider_logmigrate.operators.retention",
                    "airflow_provider_logmigrate.operators.tenants_dry_run",
                    "airflow_provider_logmigrate.operators.tenants_steps",
                    "airflow_provider_logmigrate.operators.tenants_report",
                    "airflow_provider_logmigrate.operators.problems",
                ],
            }
        ],
        "hooks": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_logmigrate.hooks.search"],
            }
        ],
        "extra-links": ["airflow_provider_logmigrate.operators.links.UnitReportLink"],
        "cli": ["airflow_provider_logmigrate.cli.definition.get_cli"],
        "config": {"logmigrate": _config_section()},
    }


def _config_section() -> dict[str, Any]:
    return {
        "description": "Where the log migrations are described and where their ledger is kept.",
        "options": {
            "config": {
                "description": (
                    "Path of logmigrate.yaml, which describes stores, migrations and tenants. "
                    "Without it no migration DAGs are made."
                ),
                "version_added": "0.1.0",
                "type": "string",
                "example": "/opt/airflow/config/logmigrate.yaml",
                "default": None,
            },
            "max_tenant_dags": {
                "description": (
                    "The most tenants' DAGs made from one logmigrate.yaml: each costs the DAG "
                    "processor time. With more tenants the largest migrations get one DAG for all "
                    "their tenants, unless `dags: per_tenant` forbids it."
                ),
                "version_added": "0.1.0",
                "type": "integer",
                "example": None,
                "default": "500",
            },
            "ledger_conn_id": {
                "description": (
                    "The Airflow connection (type postgres) of the database that keeps the ledger: "
                    "plans, checkpoints, certificates, cut-overs and dead letters."
                ),
                "version_added": "0.1.0",
                "type": "string",
                "example": None,
                "default": "logmigrate_ledger",
            },
        },
    }
