"""Every rule of the contract, on the example oracle, or on any: ``--target host:port``."""

import pytest

from xenolith.conformance import CHECKS, Check, Lab, Skipped


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_conforms(check: Check, lab: Lab) -> None:
    try:
        check.run(lab)
    except Skipped as reason:
        pytest.skip(str(reason))
