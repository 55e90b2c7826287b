"""Relaxation of crystals, many at a time, with any calculator that gives forces."""

from oracle_svc.relaxation.batch import relax
from oracle_svc.relaxation.settings import RelaxSettings
from oracle_svc.relaxation.walk import Relaxed

__all__ = ["RelaxSettings", "Relaxed", "relax"]
