#!/bin/bash
# First start of the database server: one role and one database each for Airflow and the ledger.
# Neither role can read the other's database.
set -euo pipefail

create() {
    psql --set ON_ERROR_STOP=1 --no-psqlrc --username "${POSTGRES_USER}" --dbname postgres \
        --set role="$1" --set password="$2" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE CONNECT ON DATABASE :"role" FROM PUBLIC;
SQL
}

create airflow "${AIRFLOW_DB_PASSWORD}"
create logmigrate "${LEDGER_DB_PASSWORD}"
