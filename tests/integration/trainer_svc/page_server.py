"""A live page over folders of runs that no training wrote, and a caller of it."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from trainer_svc.config.messages import config_to_proto
from trainer_svc.config.run_config import RunConfig
from trainer_svc.page.server import running_page
from trainer_svc.rewards.measurements import Measurements
from trainer_svc.runs.directory import RunDirectory
from trainer_svc.runs.run_log import RunLog
from trainer_svc.runs.tables import structure_table, write_table
from trainer_svc.services.remote import Services
from trainer_svc.training.manager import RunManager
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.serving import ServingSettings, Worker
from xenolith.v1 import trainer_pb2 as pb

HOSTILE = "<img src=x onerror=alert(1)>"


def crystals(count: int) -> CrystalBatch:
    """Crystals of two to four atoms, whose formulas repeat."""
    cells = [np.diag([4.0, 4.5, 5.0]) + 0.01 * (index % 7) for index in range(count)]
    return CrystalBatch.from_crystals(
        Crystal(
            lattice=cell,
            numbers=np.array([11, 17, 8, 26][: 2 + index % 3]),
            frac_coords=np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0.5], [0, 0.5, 0]][: 2 + index % 3]),
        )
        for index, cell in enumerate(cells)
    )


def measured(count: int) -> Measurements:
    """Energies from 0.5 eV/atom above the hull down to 0.6 below; every third has a known neighbour."""
    ones, number = np.ones(count), np.arange(count)
    distances = np.where(number % 3 == 0, 0.1 + number / count, np.nan)
    values = {"valid": ones, "unique": ones, "novel": ones, "amd_distance": distances}
    values |= {"e_above_hull": np.linspace(0.5, -0.6, count), "volume_per_atom": 20 * ones}
    return Measurements(status=("OK",) * count, values=values)


def step(number: int) -> pb.StepEvent:
    """A step whose numbers follow from its own."""
    metrics = dict.fromkeys(
        ("valid", "unique", "novel", "metastable", "stable", "sun", "msun"), 0.01 * number
    )
    terms = [pb.RewardTermSummary(name="stability", mean=0.1 * number)]
    return pb.StepEvent(
        step=number,
        reward_mean=0.2 * number,
        terms=terms,
        metrics=metrics,
        kl=float("nan"),
        timings={"total": 1.5},
    )


def write_run(
    root: Path, name: str, *, steps: int = 6, candidates: int = 40, warning: str = HOSTILE
) -> RunDirectory:
    """Write the folder of a run that has ended."""
    config = RunConfig(name=name, steps=max(steps, 1))
    directory = RunDirectory.create(root, config)
    run = pb.Run(name=name, config=config_to_proto(config), steps_total=config.steps, steps_done=steps)
    run.create_time.GetCurrentTime()
    for which, share in (("base", 0.1), ("tuned", 0.4)):
        estimate = pb.Estimate(value=share, low=share - 0.05, high=share + 0.05)
        getattr(run, which).CopyFrom(pb.Evaluation(n=30, msun=estimate, valid=estimate))
        table = structure_table(crystals(30), measured(30))
        write_table(directory.evaluation(which).with_suffix(".parquet"), table)
    run_log = RunLog(directory, run)
    for number in range(1, steps + 1):
        run_log.events.append(pb.WatchRunResponse(step=step(number)))
    if warning:
        run_log.warn(warning)
    if candidates:
        extra = {
            "id": [f"{1 + index % max(steps, 1):06d}-{index:04d}" for index in range(candidates)],
            "step": [1 + index % max(steps, 1) for index in range(candidates)],
        }
        table = structure_table(crystals(candidates), measured(candidates), extra)
        write_table(directory.path / "candidates.parquet", table)
    run_log.set_state(pb.RUN_STATE_SUCCEEDED)
    return directory


@dataclass
class Answer:
    """What the page answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_constant=lambda text: (_ for _ in ()).throw(ValueError(text)))


@dataclass
class Page:
    """A page that is served, and how to call it."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def call(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        """Call exactly this path: nothing of it is put right on the way."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Return the JSON behind a path."""
        answer = self.call(path)
        assert answer.status == 200, answer.body
        return answer.json


@contextmanager
def served_page(runs: Path, services: Services | None = None, **serving: Any) -> Iterator[Page]:
    """Serve the page of a folder of runs, its manager on an event loop in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    worker = Worker("trainer")
    nowhere = services or Services(generator="127.0.0.1:1", oracle="127.0.0.1:1")

    async def enter() -> tuple[Any, str]:
        manager = RunManager(runs, nowhere, worker)
        page = running_page(manager, ServingSettings(**serving), port=0)
        return page, await page.__aenter__()

    try:
        page, url = asyncio.run_coroutine_threadsafe(enter(), loop).result(30)
        try:
            yield Page(url)
        finally:
            asyncio.run_coroutine_threadsafe(page.__aexit__(None, None, None), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        worker.close()
