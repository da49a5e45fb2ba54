"""`python -m neurosim.cli`."""

from neurosim.cli.app import main

main()
