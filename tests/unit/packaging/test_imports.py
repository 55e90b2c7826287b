"""The SDK installs light: importing it must not pull in what only the services need."""

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "pymatgen",
    "ase",
    "chgnet",
    "pandas",
    "scipy",
    "matplotlib",
    "pydantic_settings",
    "generator_svc",
    "oracle_svc",
    "trainer_svc",
)
PROBE = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(
    "module",
    [
        "xenolith",
        "xenolith.client",
        "xenolith.convert",
        "xenolith.contract.wire",
        "xenolith.cli",
        "xenolith.conformance",
    ],
)
def test_import_is_light(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, module], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())
