"""The oracle that ships keeps its own contract."""

from __future__ import annotations

from oracle_svc.service.operations import OperationSettings
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from xenolith.conformance import CHECKS, Lab, LabSettings, run_checks
from xenolith.serving import ServingSettings, threaded_server


def test_the_oracle_conforms(make_scorer, tmp_path):
    scorer = make_scorer()
    kept = OperationSettings(folder=tmp_path / "state")
    service = OracleService(scorer, describe(scorer, max_batch=300), threads=2, operations=kept)
    with (
        threaded_server([service], ServingSettings(grace_s=1.0)) as running,
        Lab(LabSettings(target=running.address)) as lab,
    ):
        report = run_checks(lab, CHECKS)
    service._kept.close()  # the scorer's calculators are shared with other tests
    broken = {r.check.name: r.reason for r in report.results if r.outcome == "failed"}
    assert broken == {}
    assert report.count("passed") > 90
