"""The migrations, one file each. They only go forwards: going back would drop what was recorded."""

from __future__ import annotations
