"""The pure heart of the product: types, plans, the copy loop, proof and cut-over.

Nothing in here imports Airflow, a database client or a search client; the standard library is
enough. Stores and the ledger implement the ports declared in :mod:`.ports`.
"""
