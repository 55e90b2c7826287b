"""Environments of calculators whose libraries clash with the oracle's: made once, found again, worked in.

`interpreter_of("sevennet-l3i5")` is what `pools` starts processes of that calculator with; `python -m
oracle_svc.environments` lists, makes and removes environments.
"""

from oracle_svc.environments.catalogue import CATALOGUE, EnvironmentSpec, environment_of
from oracle_svc.environments.interpreter import Interpreter
from oracle_svc.environments.make import EnvironmentFailedError, find, interpreter_of, make

__all__ = [
    "CATALOGUE",
    "EnvironmentFailedError",
    "EnvironmentSpec",
    "Interpreter",
    "environment_of",
    "find",
    "interpreter_of",
    "make",
]
