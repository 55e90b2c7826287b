"""DFT codes through ASE: GPAW, VASP and Quantum ESPRESSO. A structure is a job (`oracle_svc.pools.jobs`)."""

from oracle_svc.calculators.dft.base import DftCalculator

__all__ = ["DftCalculator"]
