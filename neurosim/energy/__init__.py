"""Joules and seconds of counted events, made afterwards from price lists that say where their figures come from."""

from __future__ import annotations

from neurosim.energy.bill import AssumedError, Bill, Line
from neurosim.energy.price_list import Price, PriceList, Pulse, built_in, price_list
from neurosim.energy.pricing import price

__all__ = ["AssumedError", "Bill", "Line", "Price", "PriceList", "Pulse", "built_in", "price", "price_list"]
