"""``airflow logmigrate``: check, plan, status, rollback, restore, verify, dead-letters and more."""
