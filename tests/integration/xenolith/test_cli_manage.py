"""Commands for those who run services: managing runs, listing operations, describing services."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.xenolith.test_cli import Trainer, at  # noqa: F401  # the fixture
from xenolith.cli import main
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc, trainer_pb2

pytest.importorskip("rich")


class Manager(Trainer):
    """As its base, and lists in pages of one."""

    async def ListRuns(self, request: Any, context: Any) -> Any:
        names = sorted(self.runs)
        place = names.index(request.page_token) + 1 if request.page_token else 0
        more = place + 1 < len(names)
        runs = [self.runs[name] for name in names[place : place + 1]]
        return trainer_pb2.ListRunsResponse(runs=runs, next_page_token=names[place] if more else "")

    async def DeleteRun(self, request: Any, context: Any) -> Any:
        del self.runs[self._run(request.name).name]
        return trainer_pb2.DeleteRunResponse()

    async def Describe(self, request: Any, context: Any) -> Any:
        return trainer_pb2.TrainerServiceDescribeResponse(
            algorithms=["grpo", "awm"], limits={"config.steps": 500}, max_queued_runs=3
        )


class Oracle(oracle_pb2_grpc.OracleServiceServicer):
    """Has three operations, in pages of two."""

    async def ListOperations(self, request: Any, context: Any) -> Any:
        ids = ["ccc", "bbb", "aaa"]
        place = ids.index(request.page_token) + 1 if request.page_token else 0
        page = [
            oracle_pb2.Operation(id=one, state=2, structures_done=1, structures_total=4)  # type: ignore[arg-type]
            for one in ids[place : place + 2]
        ]
        token = page[-1].id if place + 2 < len(ids) else ""
        return oracle_pb2.ListOperationsResponse(operations=page, next_page_token=token)


def with_runs(*names: str) -> Manager:
    trainer = Manager()
    for name in names:
        trainer.runs[name] = trainer_pb2.Run(name=name, steps_done=2, steps_total=9, state=3)  # type: ignore[arg-type]
    return trainer


def test_runs_are_listed_stopped_and_deleted(at: Any, capsys: Any) -> None:  # noqa: F811
    trainer = with_runs("first", "second")
    address = at(trainer)
    assert main(["runs", "list", "--trainer", address, "--json", "runs.json"]) == 0
    assert [run["name"] for run in json.loads(Path("runs.json").read_text())] == ["first", "second"]
    shown = capsys.readouterr().out
    assert "first" in shown
    assert "2/9" in shown
    assert main(["runs", "stop", "first", "--trainer", address]) == 0
    assert "run first stops after the step at work" in capsys.readouterr().out
    assert main(["runs", "delete", "first", "--trainer", address]) == 0
    assert set(trainer.runs) == {"second"}
    assert main(["runs", "delete", "first", "--trainer", address]) == 1
    assert "no run first" in capsys.readouterr().err


@pytest.mark.usefixtures("at")
def test_runs_and_operations_are_of_services_that_stay(capsys: Any) -> None:
    assert main(["runs", "list"]) == 1
    assert "--trainer HOST:PORT" in capsys.readouterr().err
    assert main(["operation", "list"]) == 1
    assert "--oracle HOST:PORT" in capsys.readouterr().err


def test_operations_are_listed_over_all_pages(at: Any, capsys: Any) -> None:  # noqa: F811
    assert main(["operation", "list", "--oracle", at(Oracle()), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in found] == ["ccc", "bbb", "aaa"]
    assert found[0]["state"] == "RUNNING"


def test_a_service_is_described_with_its_limits(
    at: Any,  # noqa: F811
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = at(Manager())
    assert main(["describe", "trainer", "--at", address]) == 0
    shown = capsys.readouterr().out
    assert "limits: config.steps" in shown
    assert "500" in shown
    assert "grpo, awm" in shown
    assert main(["describe", "trainer", "--at", address, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["max_queued_runs"] == 3
    monkeypatch.setenv("XENOLITH_TRAINER", address)
    assert main(["describe", "trainer", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["algorithms"] == ["grpo", "awm"]
