"""The number of our arithmetic: it goes up when the same settings end in other bits."""

from __future__ import annotations

BITS = 4
"""A part of the identity of every kept result. `tests/test_golden_bits.py` fails when arithmetic has changed a bit and
this number has not: raise it, and write the new digests with `python tests/test_golden_bits.py`. It is raised as well
when ledgers count other events, which results keep."""
