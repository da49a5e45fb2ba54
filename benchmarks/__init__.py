"""Races: every kernel against its reference in one run, as a ratio."""
