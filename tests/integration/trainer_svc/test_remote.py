"""Generator and oracle that are not there, as a run meets them."""

import asyncio

import pytest

from trainer_svc.services.patience import Patience
from trainer_svc.services.remote import Services
from xenolith.errors import UnavailableError


@pytest.mark.parametrize("name", ["generator", "oracle"])
def test_a_service_that_is_not_there_is_told_in_plain_words(name):
    heard = []

    async def describe():
        async with Services(generator="127.0.0.1:9", oracle="127.0.0.1:9").connect("run") as both:
            service = dict(zip(("generator", "oracle"), both, strict=True))[name]
            await Patience(0.01, first_pause_s=0.02, on_wait=heard.append).call(name, service.describe)

    with pytest.raises(UnavailableError, match=f"the {name} has been away"):
        asyncio.run(describe())
    fault = f"no {name} answers at 127.0.0.1:9"
    assert heard == [f"waiting for the {name}: {fault}; the work goes on once it is back"]
