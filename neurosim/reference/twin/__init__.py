"""The crossbar of `neurosim.crossbar` in torch: an independent second machine, on CPU or GPU, for many instances at once.

It shares parameters, keys and the order of the physical chain with `neurosim.crossbar`, and no kernel.
"""
