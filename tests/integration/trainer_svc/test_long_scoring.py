"""Scores that take long reach the trainer through operations, over restarts of the oracle."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.scorer import Scorer as Pipeline
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.service.operations import OperationSettings
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from trainer_svc.services.remote import Services, patience
from trainer_svc.services.scoring import Scored, Scorer
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import oracle_pb2

COMPONENTS = (oracle_pb2.COMPONENT_VALIDITY, oracle_pb2.COMPONENT_STABILITY)
SLOW = {"factory": "slow_calculator:SlowEMT", "id": "slow", "elements": ["Cu"], "long_running": True}


def copper(count: int) -> CrystalBatch:
    fcc = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
    return CrystalBatch.from_crystals(
        Crystal(lattice=fcc * (3.5 + 0.02 * i), numbers=np.array([29]), frac_coords=np.zeros((1, 3)))
        for i in range(count)
    )


@pytest.fixture(scope="module", autouse=True)
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file whose size is the number of structures let pass."""
    folder = tmp_path_factory.mktemp("gate")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "oracle_svc" / "service" / "operations"))
        patch.setenv("TEST_GATE", str(folder / "gate"))
        patch.setenv("TEST_CALLS", str(folder / "calls"))
        (folder / "gate").touch()
        yield folder / "gate"


@pytest.fixture
def serving(tmp_path):
    """Serve the slow calculator on a port, again and again."""
    pool = CalculatorPool(calculator="ase", settings=SLOW, workers=1)
    matcher = PairMatcher(workers=1, pair_limit_s=5.0)

    @contextmanager
    def serve(port: int = 0):
        resources = Resources(
            calculators=pool,
            cache=open_cache("none"),
            limits=ValidityLimits(),
            matcher=matcher,
        )
        pipeline = Pipeline(resources)
        kept = OperationSettings(folder=tmp_path / "state")
        service = OracleService(pipeline, describe(pipeline, max_batch=100), operations=kept)
        try:
            with threaded_server([service], ServingSettings(grace_s=0.5, port=port)) as running:
                yield running
        finally:
            service._kept.close()

    yield serve
    pool.close()
    matcher.close()


def test_a_long_scoring_survives_the_oracles_restart_and_is_asked_for_once(serving, gate, tmp_path):
    told: list[tuple[str, int, int]] = []
    begun = asyncio.Event()

    def on_progress(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))
        begun.set()

    async def scored(address: str, restart: Callable[[], None]) -> list[Scored]:
        waiting = replace(patience(60.0), first_pause_s=0.05, longest_pause_s=0.2)
        async with Services(generator="127.0.0.1:1", oracle=address).connect("", waiting) as (_, oracle):
            scorer = Scorer(oracle, {}, on_progress=on_progress)
            await scorer.warm(copper(2))  # nothing: it would take as long as the scoring
            work = asyncio.create_task(scorer.score(copper(3), COMPONENTS))
            await begun.wait()
            await asyncio.to_thread(restart)
            os.truncate(gate, 100)
            return [await work, await scorer.score(copper(3), COMPONENTS)]

    with ExitStack() as servers:
        first = servers.enter_context(serving())

        def restart() -> None:
            servers.close()
            servers.enter_context(serving(first.port))

        answers = asyncio.run(scored(first.address, restart))
    assert told[0][0] == "scoring" and told[-1] == ("scoring", 3, 3)
    for answer in answers:
        assert answer.measured.status == ("NO_REFERENCE",) * 3
        assert np.isfinite(answer.measured.column("energy_per_atom")).all()
    with sqlite3.connect(tmp_path / "state" / "operations.db") as database:
        assert database.execute("SELECT COUNT(*) FROM operation").fetchone() == (1,)
    assert len(gate.with_name("calls").read_text().split()) == 3
