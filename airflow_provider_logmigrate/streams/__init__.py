"""Streams that come with the package: declarations only, read by every store.

A pack names tables, keys, event times and settled rules of one product. Adding a pack means
adding a module here and a line in :mod:`.registry`; no store needs to know about it.
"""

from __future__ import annotations
