"""The SDK comes up fast and alone."""

import subprocess
import sys

HEAVY = ("torch", "pymatgen", "ase", "pandas", "pyarrow", "scipy", "pydantic", "structlog", "rich", "chgnet")


def loaded(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    assert loaded("import xenolith, xenolith.client, xenolith.convert").isdisjoint(HEAVY)


def test_the_command_line_comes_up_without_torch() -> None:
    code = "from xenolith.cli import main\ntry:\n    main(['score', '--help'])\nexcept SystemExit: pass"
    assert loaded(code).isdisjoint(HEAVY)


def test_a_missing_library_is_named_with_its_extra() -> None:
    code = (
        "import sys; sys.modules['pymatgen'] = None; sys.modules['pymatgen.core'] = None\n"
        "import numpy as np, xenolith; from xenolith.convert import to_pymatgen\n"
        "try:\n    to_pymatgen(xenolith.Crystal(lattice=np.eye(3), numbers=[1], frac_coords=[[0, 0, 0]]))\n"
        "except ImportError as error:\n    print(str(error).replace(' ', '_'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        done.stdout.strip() == "pymatgen_is_needed_here_and_not_installed:_pip_install_'xenolith[pymatgen]'"
    )
