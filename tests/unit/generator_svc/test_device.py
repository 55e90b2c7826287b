"""Devices by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from generator_svc.device import resolve_device
from xenolith.errors import InvalidArgumentError


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "cpu:x"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=name):
        resolve_device(name)


def test_the_service_refuses_it_without_a_traceback() -> None:
    command = [sys.executable, "-m", "generator_svc", "--device", "cuda:99"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert "cuda:99" in ended.stderr
    assert "Traceback" not in ended.stderr
