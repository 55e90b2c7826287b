"""Forces, relaxation, second opinions: where an oracle has them."""

import grpc
import numpy as np

from xenolith.conformance.check import Collection, expect, fail, skip
from xenolith.conformance.crystals import strained
from xenolith.conformance.lab import Lab
from xenolith.contract.names import status_name
from xenolith.contract.wire import batch_from_proto, tensor_from_proto
from xenolith.errors import InvalidArgumentError, UnimplementedError
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("forces")
_STABILITY = oracle_pb2.COMPONENT_STABILITY
_STEPS = 25
_NET_FORCE = 0.05  # eV/Angstrom; plane waves do not conserve momentum exactly


@CHECKS.check("shapes", "Forces are [N, 3] and stress is [3, 3], of float64, and forces add up to nothing.")
def _shapes(lab: Lab) -> None:
    lab.needs(_STABILITY)
    crystal = strained(lab.good, 1.01)
    try:
        request = lab.request([crystal], [_STABILITY], return_forces=True)
        score = lab.try_call(lab.stub.Score, request).scores[0]
    except UnimplementedError as reason:
        skip(str(reason))
    expect(score.HasField("forces"), "return_forces was set, but forces are absent")
    for name, shape in (("forces", (crystal.num_atoms, 3)), ("stress", (3, 3))):
        tensor = getattr(score.forces, name)
        expect(tensor.dtype == crystal_pb2.DTYPE_FLOAT64, f"{name} is not of float64")
        try:
            values = np.asarray(tensor_from_proto(tensor, name), dtype=np.float64)
        except InvalidArgumentError as error:
            fail(f"{name} is no tensor: {error}")
        expect(values.shape == shape, f"{name} has the shape {values.shape}, expected {shape}")
        expect(np.isfinite(values).all(), f"{name} holds NaN or infinity")
        net = float(np.abs(values.sum(axis=0)).max())
        expect(name == "stress" or net < _NET_FORCE, f"forces add up to {net:.3g} eV/A, expected 0")


def _relaxes(lab: Lab) -> None:
    if not (lab.description.calculators and lab.description.calculators[0].supports_relaxation):
        skip("the default calculator does not relax")


@CHECKS.check(
    "relaxation", "Relaxed values stand beside raw ones, the energy does not rise, the atoms stay the same."
)
def _relaxation(lab: Lab) -> None:
    _relaxes(lab)
    if lab.quick:
        skip("relaxation is left out when checks are to be quick")
    crystal = strained(lab.good, 1.01)
    options = oracle_pb2.RelaxOptions(max_steps=_STEPS, return_crystals=True)
    raw = lab.score([crystal], [_STABILITY]).scores[0]
    score = lab.score([crystal], [_STABILITY], relax=options).scores[0]
    expect(score.HasField("relaxation"), "relax was set, but relaxation is absent")
    raw_gap = abs(score.energy_per_atom - raw.energy_per_atom)
    expect(raw_gap <= lab.settings.energy_tolerance, f"the raw energy changed by {raw_gap:g} eV/atom")
    relaxed = score.relaxation
    allowed = {crystal_pb2.STRUCTURE_STATUS_OK, crystal_pb2.STRUCTURE_STATUS_RELAXATION_FAILED}
    expect(relaxed.status in allowed, f"relaxation is {status_name(relaxed.status)}: {relaxed.message}")
    expect(0 <= relaxed.steps <= _STEPS, f"{relaxed.steps} steps were taken, at most {_STEPS} were allowed")
    expect(
        not relaxed.HasField("energy_per_atom")
        or relaxed.energy_per_atom <= raw.energy_per_atom + lab.settings.energy_tolerance,
        f"the energy rose from {raw.energy_per_atom} to {relaxed.energy_per_atom} eV/atom",
    )
    if relaxed.HasField("crystal"):
        (after,) = batch_from_proto(relaxed.crystal)
        expect(
            after.numbers.tolist() == crystal.numbers.tolist(),
            "the relaxed crystal's atoms are in another order",
        )
        ratio = after.volume / crystal.volume
        expect(
            not relaxed.HasField("volume_ratio") or abs(relaxed.volume_ratio - ratio) < 1e-3,
            f"volume_ratio is {relaxed.volume_ratio:.5f}, that of the crystals {ratio:.5f}",
        )


@CHECKS.check(
    "relax-options", "Options of relaxation out of range are INVALID_ARGUMENT, and the field is named."
)
def _options(lab: Lab) -> None:
    _relaxes(lab)
    for name, value in (("max_steps", 0), ("fmax", -0.1)):
        request = lab.request([lab.good], [_STABILITY])
        setattr(request.settings.relax, name, value)
        error = lab.refusal(lab.stub.Score, request)
        expect(
            error.code == grpc.StatusCode.INVALID_ARGUMENT,
            f"{name} = {value} is refused as {error.code.name} ({error}), expected INVALID_ARGUMENT",
        )
        fields = [violation.field for violation in error.violations]
        expect(
            fields == [f"settings.relax.{name}"], f"the error names {fields}, expected settings.relax.{name}"
        )


@CHECKS.check(
    "audit", "A second opinion comes from another calculator, by name, and leaves the first as it is."
)
def _audit(lab: Lab) -> None:
    lab.needs(oracle_pb2.COMPONENT_AUDIT)
    if lab.quick:
        skip("second opinions are left out when checks are to be quick")
    ids = {calculator.id for calculator in lab.description.audit_calculators}
    expect(ids, "audits are served, but Describe lists no audit_calculators")
    score = lab.score([lab.good], [_STABILITY, oracle_pb2.COMPONENT_AUDIT]).scores[0]
    expect(score.audits, "an audit was asked for, but audits is empty")
    for audit in score.audits:
        expect(audit.calculator_id in ids, f"{audit.calculator_id} audited, Describe lists {sorted(ids)}")
        expect(
            audit.status != crystal_pb2.STRUCTURE_STATUS_OK or audit.HasField("energy_per_atom"),
            f"{audit.calculator_id} is OK, but its energy is absent",
        )
    alone = lab.score([lab.good], [_STABILITY]).scores[0].energy_per_atom
    gap = abs(score.energy_per_atom - alone)
    expect(
        gap <= lab.settings.energy_tolerance, f"with an audit beside it the energy differs by {gap:g} eV/atom"
    )
