"""The oracle that ships keeps its own contract."""

from __future__ import annotations

from oracle_svc.service import OracleService
from oracle_svc.startup import describe
from xenolith.conformance import CHECKS, Lab, LabSettings, run_checks
from xenolith.serving import ServingSettings, threaded_server


def test_the_oracle_conforms(make_scorer):
    scorer = make_scorer()
    service = OracleService(scorer, describe(scorer, max_batch=300), threads=2)
    with (
        threaded_server([service], ServingSettings(grace_s=1.0)) as running,
        Lab(LabSettings(target=running.address)) as lab,
    ):
        report = run_checks(lab, CHECKS)
    broken = {r.check.name: r.reason for r in report.results if r.outcome == "failed"}
    assert broken == {}
    assert report.count("passed") > 80
