"""Starts PostgreSQL, a search engine and Airflow on this machine without containers.

For development, tests and the demo only: nothing here is part of the installed provider. Everything
it downloads or writes stays below ``build/`` of the checkout.
"""
