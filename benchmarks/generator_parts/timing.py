"""Seconds of actions that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from generator_svc.storage.bundle import LoadedBundle

SAMPLER_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Bundle, device and sizes that every measurement needs."""

    loaded: LoadedBundle
    device: torch.device
    repeats: int
    timed_steps: int
    """Sampler steps really timed; a call of `SAMPLER_STEPS` costs as many times more."""
    trained_steps: int
    """Steps of every structure whose log-probabilities are taken together."""


def seconds(device: torch.device, action: Callable[[], Any]) -> float:
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    begin = clock()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - begin


def interleaved(setup: Setup, *actions: Callable[[], Any], warm: bool = False) -> list[float]:
    """Median seconds of each action; they take turns, so that a busy moment touches all of them.

    `warm`: all of them have run before.
    """
    for action in actions if not warm else ():
        action()
    rounds = [[seconds(setup.device, action) for action in actions] for _ in range(setup.repeats)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]
