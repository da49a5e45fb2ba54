"""Fitting device laws to measured data: pulses, programming errors, drift, repeated reads."""

from neurosim.devices.fitting.drawn import drawn_cards
from neurosim.devices.fitting.fit import Fit, fit, to_toml
from neurosim.devices.fitting.from_files import read_tables
from neurosim.devices.fitting.population import Estimate, Population, population
from neurosim.devices.fitting.reads import ReadsFit
from neurosim.devices.fitting.resampled import RESAMPLES
from neurosim.devices.fitting.result import LawFit
from neurosim.devices.fitting.retention import RelaxationFit, RetentionFit
from neurosim.devices.fitting.tables import Drift, Programming, Pulses, Reads, Trace

__all__ = [
    "RESAMPLES",
    "Drift",
    "Estimate",
    "Fit",
    "LawFit",
    "Population",
    "Programming",
    "Pulses",
    "Reads",
    "ReadsFit",
    "RelaxationFit",
    "RetentionFit",
    "Trace",
    "drawn_cards",
    "fit",
    "population",
    "read_tables",
    "to_toml",
]
