"""Calls as data: their time limits, and functions of options that are called with the fields."""

import inspect
import math
from dataclasses import replace

import pytest

from xenolith.client.client_async import AsyncGeneratorClient
from xenolith.client.client_sync import GeneratorClient
from xenolith.client.generator_calls import SampleOptions, sample
from xenolith.client.transport.calls import deadline, message_call
from xenolith.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("own", "of_all", "usual", "expected"),
    [
        (None, None, 20.0, 20.0),
        (None, 600.0, 20.0, 600.0),
        (5.0, 600.0, 20.0, 5.0),
        (math.inf, 600.0, 20.0, None),
        (None, 600.0, None, None),  # a watched stream has no end
        (5.0, None, None, 5.0),
    ],
)
def test_the_callers_time_goes_first_then_the_options_then_what_suits_the_call(own, of_all, usual, expected):
    call = replace(message_call("Score", None, usual), timeout_s=own)
    assert deadline(call, of_all) == expected


@pytest.mark.parametrize("client", [GeneratorClient, AsyncGeneratorClient])
def test_methods_show_the_fields_of_their_options(client):
    shown = set(inspect.signature(client.sample).parameters)
    assert shown == {*inspect.signature(SampleOptions).parameters, "on_progress"}


def test_fields_of_options_are_the_arguments_of_a_call():
    call = sample(num_atoms=[2, 3], eta=0.0, relax_steps=5)
    assert list(call.request.num_atoms) == [2, 3]
    assert call.request.sampler.HasField("eta") and not call.request.sampler.HasField("steps")
    assert call.request.cleanup.relax_steps == 5
    assert call.default_s == 310
    with pytest.raises(InvalidArgumentError, match="say how many samples"):
        sample()
    with pytest.raises(TypeError, match="stepz"):
        sample(n=1, stepz=3)
