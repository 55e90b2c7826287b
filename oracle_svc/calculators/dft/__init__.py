"""DFT codes through ASE: GPAW, VASP and Quantum ESPRESSO. Each structure is a job; see `oracle_svc.jobs`."""

from oracle_svc.calculators.dft.base import DftCalculator

__all__ = ["DftCalculator"]
