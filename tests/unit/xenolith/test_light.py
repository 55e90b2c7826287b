"""The SDK comes up fast and alone."""

import os
import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "pymatgen", "ase", "pandas", "pyarrow", "scipy", "pydantic", "structlog", "rich", "chgnet")


def loaded(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    assert loaded("import xenolith, xenolith.client, xenolith.convert").isdisjoint(HEAVY)


def test_a_health_check_loads_grpc_and_neither_client_nor_server() -> None:
    assert "grpc" in (found := loaded("import xenolith.serving.healthcheck"))
    assert found.isdisjoint((*HEAVY, "numpy", "prometheus_client"))


def test_the_command_line_comes_up_without_torch() -> None:
    code = "from xenolith.cli import main\ntry:\n    main(['score', '--help'])\nexcept SystemExit: pass"
    assert loaded(code).isdisjoint(HEAVY)


def test_the_command_line_needs_none_of_the_services_libraries() -> None:
    blocked = [*HEAVY, "grpc_reflection", "redis", "plotly", "generator_svc", "oracle_svc", "trainer_svc"]
    blocked.remove("rich")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        "from xenolith.cli import main; sys.exit(main(['pretrain', 'autoencoder', 'x.toml']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "generator_svc is needed here and not installed: pip install 'xenolith[generator]'" in done.stderr


def test_a_stack_without_its_libraries_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['chgnet'] = None\n"
        "from xenolith.cli import main; sys.exit(main(['score', 'POSCAR']))"
    )
    (tmp_path / "POSCAR").write_text("Cu\n1.0\n0 1.8 1.8\n1.8 0 1.8\n1.8 1.8 0\nCu\n1\nDirect\n0 0 0\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("XENOLITH_")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert "the oracle needs chgnet: pip install 'xenolith[oracle]'" in done.stderr
    assert "Traceback" not in done.stderr


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
