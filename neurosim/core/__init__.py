"""Protocols, configuration models, registry, random-number keys and errors. Imports numpy and pydantic only."""
