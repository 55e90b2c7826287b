"""Does a service keep the oracle's contract? Checks that any implementation of OracleService can be put to.

``xenolith conformance --target host:port`` runs them; so does pytest:

>>> @pytest.mark.parametrize("check", CHECKS, ids=str)          # doctest: +SKIP
... def test_conforms(check):
...     with Lab(LabSettings(target="localhost:50052")) as lab:
...         check.run(lab)
"""

from xenolith.conformance.check import Check, Failure, Skipped
from xenolith.conformance.checks import CHECKS
from xenolith.conformance.lab import Lab, LabSettings
from xenolith.conformance.run import Report, Result, run_checks, select

__all__ = [
    "CHECKS",
    "Check",
    "Failure",
    "Lab",
    "LabSettings",
    "Report",
    "Result",
    "Skipped",
    "run_checks",
    "select",
]
