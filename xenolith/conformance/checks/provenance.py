"""Every number names its source."""

import re

from xenolith.conformance.check import Collection, expect, skip
from xenolith.conformance.crystals import broken_crystals
from xenolith.conformance.lab import Lab
from xenolith.v1 import oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("provenance")
_VALIDITY = oracle_pb2.COMPONENT_VALIDITY


@CHECKS.check("complete", "An answer names calculator, reference, hull, settings digest and version.")
def _complete(lab: Lab) -> None:
    told, described = lab.baseline.provenance, lab.description
    expect(
        re.fullmatch(r"[0-9a-f]{64}", told.settings_digest),
        f"settings_digest is {told.settings_digest!r}, expected a lower-case hexadecimal SHA-256",
    )
    expect(
        told.service_version == described.service_version,
        f"service_version is {told.service_version!r}, Describe says {described.service_version!r}",
    )
    if lab.serves(oracle_pb2.COMPONENT_STABILITY):
        calculator = described.calculators[0]
        expect(
            told.calculator_id == calculator.id,
            f"calculator_id is {told.calculator_id!r}, the default calculator is {calculator.id!r}",
        )
        expect(
            told.calculator_version == calculator.version,
            f"calculator_version is {told.calculator_version!r}, Describe says {calculator.version!r}",
        )
    if described.references:
        reference = described.references[0]
        expect(
            told.reference_id == reference.id,
            f"reference_id is {told.reference_id!r}, the default reference is {reference.id!r}",
        )
        expect(
            told.hull_id == reference.hull_id,
            f"hull_id is {told.hull_id!r}, Describe says {reference.hull_id!r}",
        )
    elif any(score.HasField("e_above_hull") for score in lab.baseline.scores):
        expect(told.hull_id, "e_above_hull is measured, but hull_id is empty")


@CHECKS.check("sameness", "An answer says how sameness was judged, with the tolerance resolved.")
def _sameness(lab: Lab) -> None:
    lab.needs(oracle_pb2.COMPONENT_UNIQUENESS)
    sameness = lab.baseline.provenance.sameness
    expect(sameness.metric != oracle_pb2.SAMENESS_METRIC_UNSPECIFIED, "sameness.metric is unspecified")
    if sameness.metric == oracle_pb2.SAMENESS_METRIC_AMD:
        expect(
            sameness.HasField("amd_tolerance") and sameness.amd_tolerance >= 0,
            "sameness.amd_tolerance is absent: within which distance are two crystals the same?",
        )


@CHECKS.check("stable", "The settings digest depends on neither the crystals nor what is returned.")
def _stable(lab: Lab) -> None:
    digest = lab.baseline.provenance.settings_digest
    broken = [crystal for crystal, _ in broken_crystals(lab.good, lab.description).values()]
    for what, response in (
        ("for another crystal", lab.score([lab.crystals[-1]], lab.components)),
        ("for a broken structure", lab.score(broken[:1], lab.components)),
        ("without structures", lab.score([], lab.components)),
        ("without the cache", lab.score([], lab.components, use_cache=False)),
    ):
        other = response.provenance.settings_digest
        expect(other == digest, f"settings_digest is {digest}, and {what} {other}")


@CHECKS.check("sensitive", "The settings digest changes with a tolerance, which the answer repeats.")
def _sensitive(lab: Lab) -> None:
    lab.needs(oracle_pb2.COMPONENT_UNIQUENESS)
    base = lab.baseline.provenance
    if base.sameness.metric != oracle_pb2.SAMENESS_METRIC_AMD:
        skip("sameness is not judged by AMD here")
    tolerance = 2.0 * base.sameness.amd_tolerance + 0.01
    other = lab.score(
        [], [oracle_pb2.COMPONENT_UNIQUENESS], sameness=oracle_pb2.SamenessOptions(amd_tolerance=tolerance)
    ).provenance
    expect(
        abs(other.sameness.amd_tolerance - tolerance) < 1e-12,
        f"asked to judge within {tolerance}, the answer says {other.sameness.amd_tolerance}",
    )
    expect(
        other.settings_digest != base.settings_digest,
        "with another amd_tolerance the settings_digest is the same: values of two scales would be mixed",
    )


@CHECKS.check("stats", "An answer counts what came from the cache and what was computed.")
def _stats(lab: Lab) -> None:
    response = lab.score([lab.good], lab.components)
    stats = response.stats
    for name in ("cache_hits", "cache_misses", "calculator_calls"):
        expect(getattr(stats, name) >= 0, f"stats.{name} is {getattr(stats, name)}")
    cached = any(result.cached for result in response.scores[0].components)
    expect(
        not cached or stats.cache_hits > 0, "a component says that it was cached, but stats.cache_hits is 0"
    )
