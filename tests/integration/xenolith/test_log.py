"""Every line of a service process is structured, whoever wrote it."""

import json
import subprocess
import sys

SAY_ALL = """
import logging, threading, warnings
import structlog
from xenolith.serving.log import configure_logging

configure_logging("oracle", "info", "json")
structlog.contextvars.bind_contextvars(request_id="r1")
structlog.get_logger().info("ours", answer=42)
logging.getLogger("grpc.aio").error("from %s", "grpc", extra={"peer": "ipv4"})
logging.getLogger("chatty").info("not shown")
warnings.warn("old", stacklevel=1)
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()
raise KeyError("gone")
"""

TAKE_A_PORT_TWICE = """
import trainer_svc
import grpc
from concurrent.futures import ThreadPoolExecutor

first, second = (
    grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)]) for _ in range(2)
)
port = first.add_insecure_port("127.0.0.1:0")
first.start()
try:
    second.add_insecure_port(f"127.0.0.1:{port}")
except RuntimeError:
    print("refused")
"""


def test_lines_of_libraries_warnings_and_failures_have_the_form_of_ours() -> None:
    done = subprocess.run([sys.executable, "-c", SAY_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"event", "level", "timestamp", "service"} <= line.keys() for line in lines)
    assert [line["level"] for line in lines] == ["info", "error", "warning", "critical", "critical"]
    ours, library, warned, in_thread, last = lines
    assert (ours["event"], ours["answer"], ours["request_id"]) == ("ours", 42, "r1")
    assert (library["event"], library["logger"], library["peer"]) == ("from grpc", "grpc.aio", "ipv4")
    assert library["request_id"] == "r1"
    assert "UserWarning: old" in warned["event"]
    assert (in_thread["event"], in_thread["thread"]) == ("thread failed", "worker")
    assert "ZeroDivisionError" in in_thread["exception"]
    assert "KeyError: 'gone'" in last["exception"]


def test_grpc_s_core_writes_no_lines_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKE_A_PORT_TWICE], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("refused\n", "", 0)
