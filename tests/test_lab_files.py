"""Files of laboratories are read to the right numbers, or refused with what is missing and the option that gives it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from lab_forms import DEVICES, DRIFT_TIMES, FORMS, SEQUENCE, Form, conductance, drifted, programmed

from neurosim.core.errors import DataError
from neurosim.devices.fitting import Drift, Programming, Pulses, read_tables


def kept(form: Form, device: int) -> tuple[list[int], list[float]]:
    """Signs and conductances of one device that the file should give."""
    signs, values = [0, *SEQUENCE], conductance(device)
    first = device == 0
    for run in form.runs if first or not form.lost else ():
        signs[run] = 0
    reads = [k for k in range(len(values)) if not (first and k in form.lost)]
    return [signs[k] for k in reads], [values[k] for k in reads]


def check_pulses(form: Form, table: Pulses) -> None:
    names = form.devices
    assert len(table.traces) == (1 if names is None else len(names))
    if names is not None:
        assert tuple(trace.device for trace in table.traces) == names
    for device, trace in enumerate(table.traces):
        signs, values = kept(form, device)
        if 13 in form.runs and len(trace.sign) == len(signs) + 1:  # ramps repeat the read they begin with
            signs.insert(13, 0)
            signs[14] = -1
            values.insert(13, values[12])
        assert trace.sign.tolist() == signs
        np.testing.assert_allclose(trace.conductance_uS, values, rtol=form.close)


def check(form: Form, tables: Iterable[object]) -> None:
    (table,) = tables
    if form.kind == "potentiation":
        assert isinstance(table, Pulses)
        (trace,) = table.traces
        assert trace.sign.tolist() == [0, *[1] * 24]
        np.testing.assert_allclose(trace.conductance_uS, conductance(0, [1] * 24), rtol=form.close)
    elif form.kind == "pulses":
        assert isinstance(table, Pulses)
        check_pulses(form, table)
    elif form.kind == "drift":
        assert isinstance(table, Drift)
        names = form.devices or ("",)
        assert len(table.devices) == len(names)
        for device, (name, times, seen) in enumerate(table.devices):
            assert form.devices is None or name == DEVICES[device]
            np.testing.assert_allclose(times, DRIFT_TIMES, rtol=form.close)
            np.testing.assert_allclose(seen, drifted(device), rtol=form.close)
    else:
        assert isinstance(table, Programming)
        np.testing.assert_allclose(np.c_[table.target_uS, table.achieved_uS], programmed(), rtol=form.close)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_form_is_read_to_the_right_numbers_or_refused_with_the_remedy(tmp_path: Path, form: Form) -> None:
    file = tmp_path / form.file
    file.write_bytes(form.content)
    if not form.refused:
        check(form, read_tables([file], **form.options))
        return
    with pytest.raises(DataError) as caught:
        read_tables([file], **form.options)
    message = str(caught.value)
    assert form.file in message
    assert "\n" not in message
    for words in form.refused:
        assert words in message
