"""Thin operators: each builds its inputs, calls the core through ports and maps the result."""
