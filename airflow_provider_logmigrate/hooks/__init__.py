"""Airflow connections in, stores out. The only place where both are known."""
