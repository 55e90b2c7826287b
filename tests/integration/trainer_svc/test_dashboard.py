"""Dashboard and alerts against a real Prometheus that scrapes real services."""

import asyncio
import json
import math
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.trainer_svc.test_metrics import figures, oracle, work

__all__ = ["oracle"]

OBSERVABILITY = Path(__file__).parents[3] / "deploy" / "observability"
DASHBOARD = OBSERVABILITY / "grafana" / "dashboards" / "xenolith.json"


def queries() -> dict[str, str]:
    """Expressions of all panels and variables, by where they stand."""
    document = json.loads(DASHBOARD.read_text())
    found = {
        f"{panel['title']}, {target['refId']}": target["expr"].replace("$job", ".*")
        for panel in document["panels"]
        for target in panel.get("targets", [])
    }
    assert len(found) > 40
    return found


def ask(port: int, path: str, **parameters: str) -> Any:
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]


def unanswered(port: int) -> list[str]:
    """Queries that give no number."""
    without = []
    for place, query in queries().items():
        values = [float(one["value"][1]) for one in ask(port, "query", query=query)["result"]]
        if not any(math.isfinite(value) for value in values):
            without.append(f"{place}: {query}")
    return without


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def prometheus(folder: Path, ports: dict[str, int]) -> Iterator[int]:
    """The shipped configuration, with these targets in the place of names and no time to lose."""
    config = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(OBSERVABILITY / "alerts.yml", folder)
    port = free_port()
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus on PATH (Debian has it)")
def test_every_query_of_the_dashboard_and_every_alert_is_answered(lab, small_run, oracle, tmp_path) -> None:
    small_run.evaluation.n = 0
    small_run.steps = 40

    async def scenario(lab):
        async with figures(lab, oracle()) as (ports, x):
            with prometheus(tmp_path, ports) as port:
                training = asyncio.create_task(lab.run(small_run))
                missing = ["nothing was asked"]
                for _ in range(60):
                    await work(x)
                    await asyncio.sleep(0.5)
                    try:
                        missing = await asyncio.to_thread(unanswered, port)
                    except OSError:
                        continue  # not up yet
                    if not missing:
                        break
                assert not missing, (tmp_path / "log").read_text()
                rules = (await asyncio.to_thread(ask, port, "rules"))["groups"][0]["rules"]
                assert {rule["name"]: rule["health"] for rule in rules if rule["health"] != "ok"} == {}
                # The rules are those of the file, and none of them cries where all is well.
                assert len(rules) == (OBSERVABILITY / "alerts.yml").read_text().count("alert:")
                assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
                training.cancel()

    lab(scenario)
