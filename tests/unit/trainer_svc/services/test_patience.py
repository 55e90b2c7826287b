"""Waiting for services that are away."""

import asyncio

import pytest

from trainer_svc.services.patience import Patience
from xenolith.contract.unreachable import unreachable
from xenolith.errors import FailedPreconditionError, InternalError, InvalidArgumentError, UnavailableError


def outcomes(*results):
    """An attempt that gives these one after the other."""
    queue = list(results)

    async def attempt():
        result = queue.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    return attempt


def call(attempt, limit_s=60.0, **options):
    patience = Patience(limit_s, first_pause_s=0.001, longest_pause_s=0.002, **options)
    return asyncio.run(patience.call("oracle", attempt))


def test_an_absence_is_waited_for_and_told_once():
    heard = []
    away = UnavailableError("nobody there")
    result = call(
        outcomes(away, away, away, "here"), on_wait=heard.append, on_return=lambda: heard.append("back")
    )
    assert result == "here"
    assert heard == ["waiting for the oracle: nobody there; the work goes on once it is back", "back"]


def test_an_absence_beyond_the_limit_says_what_to_do():
    async def never():
        raise UnavailableError("nobody there")

    with pytest.raises(UnavailableError, match="start it again, then resume"):
        call(never, limit_s=0.01)


def test_a_service_that_cannot_be_reached_is_named_in_plain_words():
    async def never():
        raise unreachable("Connection refused", service="oracle", address="127.0.0.1:9")

    heard = []
    with pytest.raises(UnavailableError) as caught:
        call(never, limit_s=0.01, on_wait=heard.append)
    assert heard == [
        "waiting for the oracle: no oracle answers at 127.0.0.1:9; the work goes on once it is back"
    ]
    assert str(caught.value).endswith("then resume the run (no oracle answers at 127.0.0.1:9)")


@pytest.mark.parametrize("error", [InvalidArgumentError("bad"), FailedPreconditionError("other policy")])
def test_what_waiting_does_not_cure_is_raised_at_once(error):
    with pytest.raises(type(error)):
        call(outcomes(error, "never reached"))


def test_a_fault_that_stays_is_raised_after_three_attempts():
    fault = InternalError("bug")
    assert call(outcomes(fault, fault, "cured")) == "cured"
    with pytest.raises(InternalError):
        call(outcomes(fault, fault, fault, "too late"))
