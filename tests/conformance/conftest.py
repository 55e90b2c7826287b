"""The oracle under examination: the one at ``--target``, else the example."""

from collections.abc import Iterator

import pytest

from xenolith.conformance import Lab, LabSettings
from xenolith.serving import threaded_server


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    target = request.config.getoption("--target")
    if target:
        with Lab(LabSettings(target=target)) as lab:
            yield lab
        return
    from examples.example_oracle.oracle import ExampleOracle

    with (
        threaded_server([ExampleOracle()]) as running,
        Lab(LabSettings(target=running.address)) as lab,
    ):
        yield lab
