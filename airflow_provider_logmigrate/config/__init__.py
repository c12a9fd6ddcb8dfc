"""Configuration: one YAML file -> checked models -> the frozen entities the program works with.

* :mod:`.loader` reads the file; it is the only way in.
* :mod:`.entities` is what comes out, free of pydantic and YAML, and cheap to import.
* :mod:`.models` says what the file may hold; schema and reference pages are made from it.
"""

from __future__ import annotations
