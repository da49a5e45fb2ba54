"""Local learning rules: from what is on a synapse's own wires to (pre, post, decay)."""

if __name__ != "neurosim.rules":
    raise ImportError("import neurosim.rules, not rules: the folder is mapped into the package")

from neurosim.rules.softhebb import SoftHebb, SoftHebbPaper

__all__ = ["SoftHebb", "SoftHebbPaper"]
