"""``airflow logmigrate``: check, plan, status, rollback, import-env, discover."""
