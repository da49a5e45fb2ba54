"""Local learning rules: from what is on a synapse's own wires to (pre, post, decay)."""

if __name__ != "neurosim.rules":
    raise ImportError("import neurosim.rules, not rules: the folder is mapped into the package")

from neurosim.rules.forward_forward import ForwardForward
from neurosim.rules.hebb import Hebb, HebbDecay, Oja, Sanger
from neurosim.rules.loading import build, load, settings_of
from neurosim.rules.softhebb import SoftHebb, SoftHebbPaper
from neurosim.rules.spikes import PairStdp, SpikeRule, Spikes, SpikingSoftHebb, WindowStdp
from neurosim.rules.winner import HardWta, KrotovHopfield, KrotovHopfieldPaper

__all__ = [
    "ForwardForward",
    "HardWta",
    "Hebb",
    "HebbDecay",
    "KrotovHopfield",
    "KrotovHopfieldPaper",
    "Oja",
    "PairStdp",
    "Sanger",
    "SoftHebb",
    "SoftHebbPaper",
    "SpikeRule",
    "Spikes",
    "SpikingSoftHebb",
    "WindowStdp",
    "build",
    "load",
    "settings_of",
]
