"""Kill -9 any of the three processes in mid-run: the run goes on, to the weights of one never disturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from safetensors.numpy import load_file

from xenolith.stack.ports import choose_ports
from xenolith.v1 import trainer_pb2 as pb
from xenolith.v1 import trainer_pb2_grpc

ROOT = Path(__file__).resolve().parents[3]


class Process:
    """A service process that can be killed and started again on its port."""

    def __init__(self, folder, name, *command):
        self.port = choose_ports(None, (name,))[name]
        self.address = f"127.0.0.1:{self.port}"
        self._command = [sys.executable, *command, "--port", str(self.port)]
        self._log = (folder / f"{name}.log").open("a")
        self.start()

    def start(self):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env=environment, stdout=self._log, stderr=subprocess.STDOUT
        )

    def wait_until_serving(self):
        with grpc.insecure_channel(self.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=90)

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def close(self):
        self.kill()
        self._log.close()


@pytest.fixture
def stack(tiny_bundle, tmp_path):
    """Generator, oracle and trainer as processes."""
    with ExitStack() as closing:

        def process(name, *command):
            started = Process(tmp_path, name, *command)
            closing.callback(started.close)
            return started

        generator = process(
            "generator", "-m", "generator_svc", "--bundle", str(tiny_bundle.path), "--threads", "1"
        )
        oracle = process("oracle", str(Path(__file__).with_name("geometry_oracle.py")))
        trainer = process(
            "trainer", "-m", "trainer_svc", "--generator", generator.address, "--oracle", oracle.address,
            "--runs", str(tmp_path / "runs"), "--threads", "1", "--services-keepalive-s", "6",
        )  # fmt: skip
        for started in (generator, oracle, trainer):
            started.wait_until_serving()
        yield {"generator": generator, "oracle": oracle, "trainer": trainer}


class Watcher:
    """A client that survives the trainer's death."""

    def __init__(self, trainer):
        self._trainer = trainer

    def call(self, method, request):
        with grpc.insecure_channel(self._trainer.address) as channel:
            return getattr(trainer_pb2_grpc.TrainerServiceStub(channel), method)(
                request, wait_for_ready=True, timeout=90
            )

    def until(self, name, condition):
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            run = self.call("GetRun", pb.GetRunRequest(name=name)).run
            if condition(run):
                return run
            time.sleep(0.05)
        raise AssertionError(f"run {name} did not get there: {run}")


def ended(run):
    return run.state in {pb.RUN_STATE_SUCCEEDED, pb.RUN_STATE_FAILED, pb.RUN_STATE_STOPPED}


def tensors(runs, name, step, what="weights"):
    return load_file(runs / name / "checkpoints" / f"step-{step:06d}" / f"{what}.safetensors")


def expect_as_if_undisturbed(client, config, runs):
    """Make the run of a configuration again, undisturbed, and expect the same to the last bit."""
    undisturbed = pb.RunConfig()
    undisturbed.CopyFrom(config)
    undisturbed.name = "undisturbed"
    client.call("StartRun", pb.StartRunRequest(config=undisturbed))
    theirs = client.until("undisturbed", ended)
    assert theirs.state == pb.RUN_STATE_SUCCEEDED
    for what in ("weights", "optimizer"):
        ours, whole = (tensors(runs, name, config.steps, what) for name in (config.name, "undisturbed"))
        assert all(np.array_equal(ours[name], whole[name]) for name in whole)
    ours = client.call("GetRun", pb.GetRunRequest(name=config.name)).run
    assert ours.policy_version.split("/")[1:] == theirs.policy_version.split("/")[1:]
    assert ours.tuned.msun == theirs.tuned.msun


@pytest.mark.timeout(300)
@pytest.mark.parametrize("staleness", [0, 2])
def test_a_run_survives_the_death_of_every_service(stack, small_run, tmp_path, staleness):
    client = Watcher(stack["trainer"])
    small_run.steps = 12
    if staleness:
        small_run.ClearField("optimizer")
        small_run.algorithm, small_run.max_staleness = "awm", staleness
    client.call("StartRun", pb.StartRunRequest(config=small_run))
    for number, victim in enumerate(("generator", "oracle", "trainer")):
        client.until("small", lambda run, done=2 + 3 * number: run.steps_done >= done)
        stack[victim].kill()
        stack[victim].start()
    run = client.call("GetRun", pb.GetRunRequest(name="small")).run
    assert run.state == pb.RUN_STATE_INTERRUPTED
    client.call("ResumeRun", pb.ResumeRunRequest(name="small"))
    run = client.until("small", ended)
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    assert run.steps_done == 12

    expect_as_if_undisturbed(client, small_run, tmp_path / "runs")
    assert "waiting for the" in (tmp_path / "runs" / "small" / "events.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_kills_at_random_change_nothing(stack, small_run, tmp_path):
    client, chance = Watcher(stack["trainer"]), random.Random(11)  # noqa: S311  # no secret
    small_run.steps = 24
    client.call("StartRun", pb.StartRunRequest(config=small_run))
    for number in range(10):
        victim = chance.choice(sorted(stack))
        client.until("small", lambda run, done=1 + 2 * number: run.steps_done >= done)
        time.sleep(chance.uniform(0.0, 0.5))
        stack[victim].kill()
        stack[victim].start()
        stack[victim].wait_until_serving()
        if victim == "trainer":
            client.call("ResumeRun", pb.ResumeRunRequest(name="small"))
    run = client.until("small", ended)
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    expect_as_if_undisturbed(client, small_run, tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["generator", "oracle"])
def test_a_run_says_that_it_waits_for_a_service_that_hangs_and_goes_on_when_it_is_back(
    stack, small_run, tmp_path, victim
):
    client = Watcher(stack["trainer"])
    small_run.steps = 8
    client.call("StartRun", pb.StartRunRequest(config=small_run))
    client.until("small", lambda run: run.steps_done >= 2)
    stack[victim].pause()
    waiting = client.until("small", lambda run: run.state == pb.RUN_STATE_WAITING)
    assert waiting.message.startswith(f"waiting for the {victim}")
    client.until("small", lambda run: " since " in run.message)
    stack[victim].go_on()
    run = client.until("small", ended)
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    told = (tmp_path / "runs" / "small" / "events.jsonl").read_text()
    assert f"waiting for the {victim} since " in told
    assert "it is back; the run goes on" in told
    assert f"waiting for the {victim} since " in (tmp_path / "trainer.log").read_text()
    expect_as_if_undisturbed(client, small_run, tmp_path / "runs")
