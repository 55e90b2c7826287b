"""EMT that hangs on gold (with a child process), ends its process on aluminium, and refuses small cells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.emt import EMT


class Odd(EMT):  # type: ignore[misc]
    def calculate(self, atoms: Atoms, *args: Any, **kwargs: Any) -> None:
        Path("left-behind").write_text("scratch")
        present = set(atoms.get_chemical_symbols())
        if "Au" in present:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            begun = Path(os.environ.get("TEST_BEGUN", "begun"))
            begun.with_suffix(".part").write_text(str(child.pid))
            begun.with_suffix(".part").rename(begun)
            threading.Event().wait()
        if "Al" in present:
            print("its last words", flush=True)  # noqa: T201
            os.kill(os.getpid(), signal.SIGKILL)
        if atoms.get_volume() < 8.0:
            raise ValueError("too small")
        super().calculate(atoms, *args, **kwargs)
