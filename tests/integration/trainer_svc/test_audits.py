"""Runs whose samples a second calculator judges, and whose reward values a predicted property."""

import json

import pytest

from xenolith.v1 import trainer_pb2 as pb


def test_every_evaluation_is_audited_and_a_property_is_rewarded(lab, small_run, tmp_path):
    small_run.steps = 2
    small_run.evaluation.audit_calculator_ids.append("geometry-2")
    small_run.reward_terms.add(metric="properties.gap", weight=1.0)

    async def scenario(lab):
        run = await lab.run(small_run)
        steps = [event.step for event in await lab.watch("small") if event.HasField("step")]
        return run, steps

    run, steps = lab(scenario)
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    # The oracle's gap is 1 eV and the energy above the hull.
    assert all(step.terms[0].raw_mean > 1.0 for step in steps)
    assert all(step.terms[0].measured > 0 for step in steps)
    for evaluation in (run.base, run.tuned):
        (audit,) = evaluation.audits
        assert (audit.calculator_id, audit.basis) == ("geometry-2", "hull")
        assert 0 < audit.measured <= 20
        assert audit.rank_correlation > -1.0
        assert audit.mean_shift > 0.09
        # What it sees a tenth of an eV/atom further up is no longer below a tenth.
        assert audit.msun_survival == 0.0 or audit.msun_claims == 0
    page = (tmp_path / "runs" / "small" / "report.html").read_text()
    assert "Second opinion" in page
    assert "geometry-2" in page
    summary = json.loads((tmp_path / "runs" / "small" / "summary.json").read_text())
    assert summary["tuned"]["audits"][0]["calculator_id"] == "geometry-2"
    for policy in ("base", "tuned"):
        told = summary[policy]["audit"]
        assert told["judge"] == "geometry-2"
        # It places nothing below a tenth of an eV/atom; where the oracle does, the two part.
        assert told["metastable"] == told["msun"] == 0.0
        assert told["metastable_ci95"][0] == 0.0 < told["metastable_ci95"][1]
        parted = summary[policy]["metastable"] * summary[policy]["n"]
        assert told["agreement"] * told["measured"] == pytest.approx(told["measured"] - parted)
        assert told["agreement_ci95"][0] <= told["agreement"] <= told["agreement_ci95"][1]
        assert summary[policy]["relaxed_audit"] is None


def test_the_judge_sees_relaxed_samples_too(lab, small_run, tmp_path):
    small_run.steps = 1
    small_run.evaluation.audit_calculator_ids.append("geometry-2")
    small_run.evaluation.relax.max_steps = 5

    async def scenario(lab):
        return await lab.run(small_run)

    run = lab(scenario)
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    summary = json.loads((tmp_path / "runs" / "small" / "summary.json").read_text())
    for policy in ("base", "tuned"):
        raw, relaxed = summary[policy]["audit"], summary[policy]["relaxed_audit"]
        assert raw["judge"] == relaxed["judge"] == "geometry-2"
        # The oracle relaxes all onto its hull, where its judge sees them an eV/atom up.
        assert relaxed["metastable"] == relaxed["agreement"] == 0.0
        assert 0 < relaxed["measured"] <= raw["measured"]
    page = (tmp_path / "runs" / "small" / "report.html").read_text()
    assert "tuned, relaxed" in page


def test_what_the_oracle_does_not_offer_fails_the_run_before_its_first_step(lab, small_run):
    async def scenario(lab):
        small_run.evaluation.audit_calculator_ids.append("geometry-9")
        first = await lab.run(small_run)
        del small_run.evaluation.audit_calculator_ids[:]
        small_run.name = "other"
        small_run.reward_terms.add(metric="properties.hardness", weight=1.0)
        return first, await lab.run(small_run)

    audit, reward = lab(scenario)
    assert (audit.state, reward.state) == (pb.RUN_STATE_FAILED, pb.RUN_STATE_FAILED)
    assert "second calculators are geometry-2" in audit.message
    assert "the oracle predicts gap" in reward.message
    assert audit.steps_done == reward.steps_done == 0
