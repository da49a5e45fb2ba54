"""`python -m neurosim`."""

from neurosim.cli.app import main

main()
