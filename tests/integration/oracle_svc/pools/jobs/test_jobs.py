"""Jobs: results that stay, failures that are typed, and a queue's files."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.pools.jobs import JobFolder, JobSettings, open_backend
from oracle_svc.pools.jobs.run import main as run_by_hand
from oracle_svc.pools.jobs.run import run_job
from oracle_svc.pools.worker_pool import WorkerStoppedError
from oracle_svc.status import Status
from xenolith.crystal import Crystal, CrystalBatch

EMT = {"factory": "ase.calculators.emt:EMT", "id": "emt", "elements": ["Cu", "Au", "Al"]}
ODD = {"factory": "odd_calculator:Odd", "id": "odd", "elements": ["Cu", "Au", "Al"]}


def metal(symbol: int, a: float = 4.0) -> Crystal:
    lattice = np.array([[0, a, a], [a, 0, a], [a, a, 0]]) / 2
    return Crystal(lattice=lattice, numbers=np.array([symbol]), frac_coords=np.zeros((1, 3)))


def batch(*crystals: Crystal) -> CrystalBatch:
    return CrystalBatch.from_crystals(crystals)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make pools that share one folder of jobs."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    made = []

    def make(settings=EMT, backend: str = "local", **options) -> CalculatorPool:
        jobs = JobSettings(folder=tmp_path / "jobs", backend=backend, options=options)
        made.append(CalculatorPool(calculator="ase", settings=settings, jobs=jobs, structure_limit_s=60.0))
        return made[-1]

    yield make
    for one in made:
        one.close()


def folders(tmp_path: Path) -> Iterator[JobFolder]:
    return (JobFolder(path.parent) for path in (tmp_path / "jobs").rglob("job.json"))


def test_a_result_says_everything_and_is_found_again(pool, tmp_path):
    direct = CalculatorPool(calculator="ase", settings=EMT)
    first = pool()
    some = batch(metal(29, 3.6), metal(13, 4.05))
    measured = first.evaluate(some, with_forces=True)
    expected = direct.evaluate(some, with_forces=True)
    direct.close()
    assert np.array_equal(measured.energy_per_atom, expected.energy_per_atom)
    assert np.array_equal(measured.forces, expected.forces)
    assert np.allclose(measured.stress, expected.stress)
    results = [json.loads((folder.path / "result.json").read_text()) for folder in folders(tmp_path)]
    assert {result["status"] for result in results} == {"OK"}
    assert {result["energy_per_atom"] for result in results} == set(measured.energy_per_atom)
    for result, folder in zip(results, folders(tmp_path), strict=True):
        assert result["calculator"]["id"] == "emt"
        assert result["calculator"]["settings_digest"] == first.identity.settings_digest
        assert result["xenolith"] and result["finished"] and result["wall_s"] >= 0
        assert Path(result["log"]) == folder.log.resolve() and folder.log.exists()
        assert not folder.scratch.exists()
    written = {folder.path: (folder.path / "result.json").stat().st_mtime_ns for folder in folders(tmp_path)}
    again = pool().evaluate(some, with_forces=True)
    assert np.array_equal(again.energy_per_atom, measured.energy_per_atom)
    assert np.array_equal(again.forces, measured.forces)
    for path, when in written.items():
        assert (path / "result.json").stat().st_mtime_ns == when


def test_what_goes_wrong_is_the_structures_own(pool, tmp_path):
    """`Odd` hangs on gold, ends its process on aluminium, and does not like small copper."""
    jobs = pool(ODD)
    result = jobs.evaluate(batch(metal(29, 3.6), metal(29, 3.0), metal(13)))
    assert result.statuses == (Status.OK, Status.CALCULATOR_FAILED, Status.CALCULATOR_FAILED)
    assert "odd stopped: ValueError: too small" in result.messages[1]
    assert "ended by SIGKILL" in result.messages[2]
    assert "its last words" in result.messages[2]
    hung = jobs.evaluate(batch(metal(79)), structure_limit_s=3.0)
    assert hung.statuses == (Status.TIMEOUT,)
    assert "longer than 3 s" in hung.messages[0]
    assert not any(folder.scratch.exists() for folder in folders(tmp_path))
    assert jobs.pids() == []


def test_stopping_ends_the_job_and_what_it_started(pool, tmp_path):
    jobs = pool(ODD)
    begun = tmp_path / "begun"
    os.environ["TEST_BEGUN"] = str(begun)
    with pytest.raises(WorkerStoppedError):
        jobs.evaluate(batch(metal(79)), stop=begun.exists)
    child = int(begun.read_text())
    # Killed; whether init has reaped it yet is of no interest.
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
    assert jobs.pids() == []


def test_a_job_does_not_outlive_a_killed_service(tmp_path):
    begun = tmp_path / "begun"
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    code = (
        "from pathlib import Path; import numpy as np\n"
        "from oracle_svc.pools.calculator_pool import CalculatorPool\n"
        "from oracle_svc.pools.jobs import JobSettings\n"
        "from xenolith.crystal import Crystal, CrystalBatch\n"
        f"jobs = JobSettings(folder=Path({str(tmp_path / 'jobs')!r}), options={{}})\n"
        f"pool = CalculatorPool(calculator='ase', settings={ODD!r}, jobs=jobs)\n"
        "gold = Crystal(lattice=np.eye(3) * 3, numbers=np.array([79]), frac_coords=np.zeros((1, 3)))\n"
        "pool.evaluate(CrystalBatch.from_crystals([gold]))\n"
    )
    service = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path, "TEST_BEGUN": str(begun)}
    )
    while not begun.exists():
        assert service.poll() is None
        threading.Event().wait(0.05)
    service.send_signal(signal.SIGKILL)
    service.wait()
    (folder,) = folders(tmp_path)
    while folder.scratch.exists() or _alive(int(begun.read_text())):  # ends when its parent is found gone
        threading.Event().wait(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_job_made_for_another_version_is_refused(pool, tmp_path):
    pool().evaluate(batch(metal(29)))
    (folder,) = folders(tmp_path)
    document = json.loads((folder.path / "job.json").read_text())
    (folder.path / "job.json").write_text(json.dumps({**document, "calculator_digest": "f" * 64}))
    assert run_job(str(folder.path)) == "OK"  # a result that is there is left alone
    (folder.path / "result.json").unlink()
    with pytest.raises(ValueError, match="install the same version where jobs run"):
        run_job(str(folder.path))


def test_a_job_can_be_run_by_hand(pool, tmp_path, capsys):
    pool().evaluate(batch(metal(29)))
    (folder,) = folders(tmp_path)
    before = json.loads((folder.path / "result.json").read_text())
    (folder.path / "result.json").unlink()
    assert run_by_hand([str(folder.path)]) == 0
    after = json.loads((folder.path / "result.json").read_text())
    assert after["energy_per_atom"] == before["energy_per_atom"]
    assert not folder.scratch.exists()
    with pytest.raises(SystemExit) as ended:
        run_by_hand(["--help"])
    assert ended.value.code == 0
    assert "result.json" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run_by_hand([str(tmp_path)])
    assert ended.value.code == 2
    assert f"{tmp_path} holds no job.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("backend", "options", "text"),
    [
        ("pigeon", {}, "no job backend 'pigeon': there are local, slurm"),
        ("local", {"treads": 2}, "treads"),
        ("slurm", {"cores": 0}, "cores"),
    ],
)
def test_a_wrong_backend_is_refused_with_advice(tmp_path, backend, options, text):
    with pytest.raises(ValueError, match=text):
        open_backend(JobSettings(folder=tmp_path, backend=backend, options=options))


SBATCH = """#!/bin/sh
# Stands in for SLURM: keeps the script, and runs it at once.
cp "$2" "$SPOOL/$$.sh"
setsid sh "$2" > /dev/null 2>&1 &
echo $$
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs named as SLURM's, on PATH; returns the folder of submitted scripts."""
    pytest.importorskip("executorlib", reason="needs xenolith[slurm]")
    pytest.importorskip("pysqa", reason="needs xenolith[slurm]")
    bin_, spool = tmp_path / "bin", tmp_path / "spool"
    bin_.mkdir()
    spool.mkdir()
    programs = {"sbatch": SBATCH, "squeue": "#!/bin/sh\n", "scancel": "#!/bin/sh\n"}
    for name, text in programs.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SPOOL", str(spool))
    return spool


def test_a_queue_gets_one_script_per_job_and_its_results_are_found(pool, slurm, tmp_path):
    options = {"sbatch": {"partition": "cpu", "mem": "8G"}, "cores": 4}
    queue = pool(backend="slurm", **options)
    measured = queue.evaluate(batch(metal(29, 3.6)), structure_limit_s=90.0)
    assert measured.statuses == (Status.OK,), measured.messages
    (script,) = slurm.iterdir()
    lines = script.read_text().splitlines()
    (folder,) = folders(tmp_path)
    assert lines[0] == "#!/bin/bash"
    assert "#SBATCH --partition=cpu" in lines
    assert "#SBATCH --mem=8G" in lines
    assert "#SBATCH --ntasks=4" in lines
    assert "#SBATCH --time=2" in lines  # minutes, rounded up
    assert f"#SBATCH --chdir={folder.path}" in lines
    queue.close()
    local = pool().evaluate(batch(metal(29, 3.6)))
    assert local.energy_per_atom == measured.energy_per_atom
    assert len(list(slurm.iterdir())) == 1
