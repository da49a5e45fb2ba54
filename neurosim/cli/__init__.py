"""The command line, `neurosim`: a module for each group of commands; heavy modules are imported by those that use them."""

from neurosim.cli.app import app, main

__all__ = ["app", "main"]
