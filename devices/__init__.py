"""Device laws and published parameter cards: what a pulse, a read and time do to a conductance."""

if __name__ != "neurosim.devices":
    raise ImportError("import neurosim.devices, not devices: the folder is mapped into the package")

from neurosim.devices.card import Card, cards, load
from neurosim.devices.contract import Clause, check
from neurosim.devices.law import Law
from neurosim.devices.measured import steps_of
from neurosim.devices.parameters import quantity
from neurosim.devices.programming import Verified, write_verify
from neurosim.devices.response import programmed, pulse_response

__all__ = [
    "Card",
    "Clause",
    "Law",
    "Verified",
    "cards",
    "check",
    "load",
    "programmed",
    "pulse_response",
    "quantity",
    "steps_of",
    "write_verify",
]
