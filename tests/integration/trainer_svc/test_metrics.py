"""Every figure that the documentation lists is there to be scraped, and none that it does not list."""

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.service.operations import OperationSettings
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from trainer_svc.service import TrainerService
from xenolith.client import AsyncClient
from xenolith.crystal import Crystal
from xenolith.errors import InvalidArgumentError
from xenolith.serving import ServingSettings, running_server

DOCUMENTED = Path(__file__).parents[3] / "docs" / "observability.md"
EMT = {"factory": "ase.calculators.emt:EMT", "id": "emt", "elements": ["Cu"]}
COMPONENTS = ["validity", "stability"]
COPPER = Crystal(
    lattice=np.array([[0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]]), numbers=[29], frac_coords=[[0, 0, 0]]
)


def listed() -> set[str]:
    rows = [line.split("|")[1] for line in DOCUMENTED.read_text().splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`((?:xenolith|process)_[a-z_]+)", row)}


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return answer.read().decode()


def names(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


@pytest.fixture
def oracle(tmp_path):
    pool, matcher = (
        CalculatorPool(calculator="ase", settings=EMT, workers=1),
        PairMatcher(workers=1, pair_limit_s=5.0),
    )
    resources = Resources(
        calculators=pool, cache=open_cache("none"), limits=ValidityLimits(), matcher=matcher
    )

    def serve() -> OracleService:
        scorer = Scorer(resources)
        kept = OperationSettings(folder=tmp_path / "state")
        return OracleService(scorer, describe(scorer, max_batch=100), operations=kept)

    yield serve
    pool.close()
    matcher.close()


@asynccontextmanager
async def figures(lab, real: OracleService) -> AsyncIterator[tuple[dict[str, int], AsyncClient]]:
    """Serve the lab's services and a real oracle with figures; gives their ports and a client."""
    settings = ServingSettings(grace_s=0.1, metrics_port=0)
    servicers = {"generator": lab.generator, "oracle": real, "trainer": TrainerService(lab.manager)}
    async with AsyncExitStack() as stack:
        running = {
            name: await stack.enter_async_context(running_server([servicer], settings))
            for name, servicer in servicers.items()
        }
        addresses = {name: one.address for name, one in running.items()}
        x = await stack.enter_async_context(AsyncClient.connect(**addresses))
        yield {name: one.metrics_port for name, one in running.items()}, x
    real._kept.close()


async def work(x: AsyncClient) -> None:
    """A bit of everything."""
    await x.oracle.score([COPPER] * 3, components=COMPONENTS)
    await (await x.oracle.submit_score([COPPER], components=COMPONENTS)).wait()
    await x.generator.describe()
    with pytest.raises(InvalidArgumentError):
        await x.trainer.evaluate(n=-1)


def test_each_service_shows_the_figures_that_are_listed(lab, small_run, oracle) -> None:
    small_run.evaluation.n = 0
    small_run.steps = 2

    async def scenario(lab):
        async with figures(lab, oracle()) as (ports, x):
            await lab.run(small_run)
            await work(x)
            # The caller has its answer a moment before the call is counted.
            for _ in range(500):
                shown = {name: await asyncio.to_thread(scrape, port) for name, port in ports.items()}
                if 'in_flight{method="Evaluate"} 0.0' in shown["trainer"]:
                    break
                await asyncio.sleep(0.02)
        return shown

    shown = lab(scenario)
    everywhere = names(shown["generator"]) & names(shown["oracle"]) & names(shown["trainer"])
    assert {name for name in listed() if name.startswith("xenolith_call")} <= everywhere
    for service in shown:
        own = {name for name in listed() if name.startswith(f"xenolith_{service}_")}
        assert own
        assert own <= names(shown[service])
    ours = {name for text in shown.values() for name in names(text) if name.startswith("xenolith_")}
    assert ours == {name for name in listed() if name.startswith("xenolith_")}
    assert {name for name in listed() if name.startswith("process_")} <= everywhere

    trainer = shown["trainer"]
    assert "xenolith_trainer_steps_total 2.0" in trainer
    assert 'xenolith_trainer_step{run_id="small"} 2.0' in trainer
    assert 'xenolith_trainer_sample_staleness_steps{run_id="small"} 0.0' in trainer
    assert 'xenolith_trainer_runs_ended_total{state="SUCCEEDED"} 1.0' in trainer
    assert 'xenolith_trainer_runs{state="RUNNING"} 0.0' in trainer
    assert re.search(r'xenolith_trainer_reward_component\{run_id="small",term="\w+"\}', trainer)
    assert 'xenolith_call_refusals_total{method="Evaluate",reason="invalid_argument"} 1.0' in trainer
    generator = shown["generator"]
    assert f"xenolith_generator_samples_total {2.0 * small_run.groups * small_run.group_size}" in generator
    assert 'xenolith_generator_request_samples_bucket{le="8.0"} 4.0' in generator
    measured = shown["oracle"]
    assert 'xenolith_oracle_batch_structures_bucket{le="1.0"} 1.0' in measured
    assert 'xenolith_oracle_batch_structures_bucket{le="4.0"} 2.0' in measured
    assert "xenolith_oracle_batch_structures_sum 4.0" in measured
    assert "xenolith_oracle_queue_depth 0.0" in measured
    assert 'xenolith_oracle_operations{state="SUCCEEDED"} 1.0' in measured
