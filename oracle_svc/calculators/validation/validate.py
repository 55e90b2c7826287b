"""Whether a calculator keeps what the protocol promises.

From the shell: `python -m oracle_svc.calculators.validation.validate --help`.

For whoever writes a calculator. From a test,

    report = validate_calculator(MyCalculator())
    assert report.passed, report

or, for one that has an entry point in the group `xenolith.calculators`, from the shell:

    python -m oracle_svc.calculators.validation.validate mine --settings '{"path": "model"}'
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oracle_svc.calculators import calculator_names, open_calculator
from oracle_svc.calculators.base import Calculator
from oracle_svc.calculators.validation.bench import Bench, CalculatorUnfitError
from oracle_svc.calculators.validation.checks import CHECKS
from oracle_svc.calculators.validation.probes import probes
from oracle_svc.environments import interpreter_of
from xenolith.crystal import Crystal

__all__ = ["Finding", "ValidationReport", "main", "validate_calculator"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Result of one check."""

    check: str
    """Name of the check."""
    problem: str | None
    """What is wrong; None if nothing is."""

    def __str__(self) -> str:
        return f"ok      {self.check}" if self.problem is None else f"FAILED  {self.check}: {self.problem}"


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """Results of all checks of one calculator."""

    calculator: str
    """Its id."""
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def problems(self) -> dict[str, str]:
        """Problems found, by check."""
        return {found.check: found.problem for found in self.findings if found.problem is not None}

    def __str__(self) -> str:
        return "\n".join([f"calculator {self.calculator}", *map(str, self.findings)])


def validate_calculator(
    calculator: Calculator,
    *,
    crystals: Sequence[Crystal] | None = None,
    energy_tolerance: float = 1e-4,
    force_tolerance: float = 2e-2,
    seed: int = 0,
) -> ValidationReport:
    """Try a calculator on small crystals.

    Parameters
    ----------
    calculator
        What to validate.
    crystals
        Crystals that it is good for, of few atoms and out of equilibrium; None: some of its elements.
    energy_tolerance
        Largest difference between energies that should be equal, eV/atom; relative above 1 eV/atom.
    force_tolerance
        Largest difference between forces (eV/Angstrom) or stresses (times the volume per atom, eV) and
        finite differences of the energy, beside the same share of the largest of either.
    seed
        Of the crystals and of the random directions.

    Returns
    -------
    A finding for each check. A calculator that raises has failed the check.
    """
    rng = np.random.default_rng(seed)
    bench = Bench(
        calculator=calculator,
        crystals=list(crystals) if crystals is not None else probes(calculator.elements, rng),
        energy_tolerance=energy_tolerance,
        force_tolerance=force_tolerance,
        seed=seed,
    )
    return ValidationReport(
        calculator=str(calculator.id), findings=tuple(_finding(name, bench) for name in CHECKS)
    )


def _finding(name: str, bench: Bench) -> Finding:
    try:
        CHECKS[name](bench)
    except CalculatorUnfitError as error:
        return Finding(check=name, problem=str(error))
    except Exception as error:  # noqa: BLE001 - whatever the calculator raises is what is wrong with it
        return Finding(check=name, problem=f"it raised {type(error).__name__}: {error}")
    return Finding(check=name, problem=None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Validate from the command line; 1 if something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m oracle_svc.calculators.validation.validate",
        description=__doc__,
    )
    parser.add_argument("name", help=f"one of {', '.join(calculator_names())}")
    parser.add_argument("--settings", type=json.loads, default={}, help="its settings, a JSON object")
    parser.add_argument("--energy-tolerance", type=float, default=1e-4, help="eV/atom")
    parser.add_argument("--force-tolerance", type=float, default=2e-2, help="eV/Angstrom")
    given = parser.parse_args(arguments)
    if (there := interpreter_of(given.name)).python != sys.executable:
        own = list(sys.argv[1:] if arguments is None else arguments)
        return there.run("oracle_svc.calculators.validation.validate", own)
    try:
        calculator = open_calculator(given.name, **given.settings)
    except ValueError as error:
        parser.error(str(error))
    report = validate_calculator(
        calculator, energy_tolerance=given.energy_tolerance, force_tolerance=given.force_tolerance
    )
    sys.stdout.write(f"{report}\n")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
