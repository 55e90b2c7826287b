"""Generator and oracle that are not there, as a run meets them."""

import asyncio
from dataclasses import replace

import pytest

from trainer_svc.services.remote import Services, patience
from xenolith.errors import UnavailableError


@pytest.mark.parametrize("name", ["generator", "oracle"])
def test_a_service_that_is_not_there_is_told_in_plain_words(name):
    heard = []

    async def describe():
        waiting = replace(patience(0.01, on_wait=heard.append), first_pause_s=0.02)
        services = Services(generator="127.0.0.1:9", oracle="127.0.0.1:9")
        async with services.connect("run", waiting) as both:
            await dict(zip(("generator", "oracle"), both, strict=True))[name].describe()

    with pytest.raises(UnavailableError, match=f"the {name} has been away"):
        asyncio.run(describe())
    fault = f"no {name} answers at 127.0.0.1:9"
    assert heard == [f"waiting for the {name}: {fault}; the work goes on once it is back"]
