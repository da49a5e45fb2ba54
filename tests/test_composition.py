"""Every card from its writing to a year later against `composition_reference`, which shares no code with it."""

from __future__ import annotations

import composition_reference as reference
import numpy as np
import pytest
from composition_helpers import (
    DAY,
    EFFECTS,
    HOUR,
    TOGETHER,
    YEAR,
    beyond,
    compare,
    device,
    deviations,
)
from helpers import check_std

from neurosim import devices

CARDS = devices.names() if hasattr(devices, "names") else reference.names()
FAMILIES = (
    "pcm-joshi-2020",
    "pcm-hermes-2023-1-device",
    "rram-neurram-wan-2022",
    "rram-cmo-hfox-falcone-2025-fine",
    "pcm-nandakumar-2018",
    "rram-hfo2-om-2022",
    "ecram-li-tang-2018",
)


@pytest.mark.parametrize("name", reference.names())
def test_every_card_is_the_composition_of_its_numbers(name):
    assert beyond(name) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_each_effect_alone(name):
    assert [line for effect in EFFECTS for line in beyond(name, [effect])] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_all_effects_together(name):
    assert beyond(name, TOGETHER) == []
