"""The DFT oracle with a real DFT code: settings so coarse that a structure takes seconds."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.build.from_files import FilesPlan, build_from_files
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.known.reference.folder import Reference
from oracle_svc.known.reference.write import DataSource
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.pools.job_calculator import JobCalculator
from oracle_svc.pools.jobs import JobSettings
from oracle_svc.service.operations import OperationSettings
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from xenolith.client import Client
from xenolith.convert import from_ase, write_cif
from xenolith.errors import FailedPreconditionError, InvalidArgumentError
from xenolith.serving import threaded_server

pytest.importorskip("gpaw", reason="needs GPAW: see docs/dft.md")
pytestmark = pytest.mark.slow

COARSE = {
    "cutoff_ev": 250,
    "kpoint_density": 1.2,
    "energy_convergence_ev": 1e-2,
    "elements": ["Na", "Cl", "Si"],
}


def test_a_salt_on_a_hull_of_the_same_code_and_settings(tmp_path):
    state = tmp_path / "state"
    phases = {
        "Na": bulk("Na", "bcc", 4.19), "NaCl": bulk("NaCl", "rocksalt", 5.69), "Cl": bulk("Cl", "sc", 2.7),
    }  # fmt: skip
    for name, atoms in phases.items():
        write_cif(from_ase(atoms), tmp_path / f"{name}.cif")
    jobs = JobCalculator("gpaw", COARSE, state=state, limit_s=240.0)
    plan = FilesPlan(
        paths=tuple(tmp_path / f"{name}.cif" for name in phases),
        out=tmp_path / "hull",
        work=tmp_path / "work",
        source=DataSource(name="salt", hull_name="salt", licence="CC0-1.0", attribution="nobody"),
    )
    built = build_from_files(plan, jobs)
    jobs.close()
    assert built.info["hull"]["vertices"] == 3, built.skipped
    reference = Reference.read(tmp_path / "hull")

    def oracle(settings, **options):
        pool = CalculatorPool(
            calculator="gpaw",
            settings=settings,
            jobs=JobSettings(folder=state / "jobs", options={}),
            **options,
        )
        matcher = PairMatcher(workers=1, pair_limit_s=5.0)
        scorer = Scorer(Resources(
            calculators=pool, references=[reference], cache=open_cache("none"), limits=ValidityLimits(),
            matcher=matcher,
        ))  # fmt: skip
        kept = OperationSettings(folder=state)
        return OracleService(scorer, describe(scorer, max_batch=10), operations=kept)

    service = oracle(COARSE, structure_limit_s=240.0)
    with threaded_server([service]) as running, Client.connect(oracle=running.address) as client:
        can = client.oracle.describe().calculators[0]
        assert can.long_running and "plane-wave cutoff, eV (here 250.0)" in can.settings["cutoff_ev"]
        cscl = bulk("NaCl", "cesiumchloride", 3.4)
        operation = client.oracle.submit_score([from_ase(phases["NaCl"]), from_ase(cscl)])
        salt, other = operation.wait()
        assert salt.status == other.status == "OK", (salt.message, other.message)
        assert salt.e_above_hull == pytest.approx(0.0, abs=1e-4)
        assert salt.formation_energy_per_atom < -0.5
        assert 0.05 < other.e_above_hull < 0.4  # the high-pressure form
        with pytest.raises(FailedPreconditionError, match=r"cutoff_ev is 250.0 .* not 400.0"):
            client.oracle.submit_score(from_ase(cscl), settings={"calculator_settings": {"cutoff_ev": 400}})
        with pytest.raises(InvalidArgumentError, match="cutof is no setting of gpaw"):
            client.oracle.submit_score(from_ase(cscl), settings={"calculator_settings": {"cutof": 400}})
        same = {"calculator_settings": {"cutoff_ev": 250, "xc": "PBE"}}
        again = client.oracle.submit_score(from_ase(cscl), settings=same).wait()
        assert again[0].energy_per_atom == pytest.approx(other.energy_per_atom, abs=1e-6)
        assert again.provenance.calculator_id == salt.calculator
    service.close()

    impatient = oracle({**COARSE, "max_scf_steps": 5, "energy_convergence_ev": 1e-9})
    foreign = r"computed by gpaw.* this oracle's calculator is gpaw"
    with (
        threaded_server([impatient]) as running,
        Client.connect(oracle=running.address) as client,
        pytest.raises(FailedPreconditionError, match=foreign),
    ):
        client.oracle.score(from_ase(cscl), components=["stability"])
    measured = impatient._scorer.resources.calculators.evaluate(_batch(cscl))
    assert "did not converge in 5 steps; raise max_scf_steps" in measured.messages[0]
    assert np.isnan(measured.energy_per_atom[0])
    slow = impatient._scorer.resources.calculators.evaluate(_batch(bulk("Si")), structure_limit_s=0.5)
    assert "longer than 0.5 s" in slow.messages[0]
    impatient.close()


def _batch(atoms):
    from xenolith.crystal import CrystalBatch

    return CrystalBatch.from_crystals([from_ase(atoms)])
