"""Kill -9 any of the three processes in mid-run: the run goes on, to the weights of one never disturbed."""

import os
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
            "--runs", str(tmp_path / "runs"), "--threads", "1",
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


def weights(runs, name, step):
    return load_file(runs / name / "checkpoints" / f"step-{step:06d}" / "weights.safetensors")


@pytest.mark.timeout(300)
def test_a_run_survives_the_death_of_every_service(stack, small_run, tmp_path):
    client = Watcher(stack["trainer"])
    small_run.steps = 12
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

    undisturbed = pb.RunConfig()
    undisturbed.CopyFrom(small_run)
    undisturbed.name = "undisturbed"
    client.call("StartRun", pb.StartRunRequest(config=undisturbed))
    assert client.until("undisturbed", ended).state == pb.RUN_STATE_SUCCEEDED
    ours, theirs = weights(tmp_path / "runs", "small", 12), weights(tmp_path / "runs", "undisturbed", 12)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert "waiting for the" in (tmp_path / "runs" / "small" / "events.jsonl").read_text()
