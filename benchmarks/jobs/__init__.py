"""Programs that are measured, each run in a fresh process by :mod:`benchmarks.child`.

A job is a module with ``prepared(spec)``, a context manager that opens what the job needs and
yields the work; only the work is measured.
"""
