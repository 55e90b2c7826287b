from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from xenolith.analysis import Opinion, compare, picture
from xenolith.analysis.statistics import kendall, ranks, spearman

RNG = np.random.default_rng(0)


def opinions(count: int = 200, *, hull: bool = True, noise: float = 0.02) -> list[Opinion]:
    """Two calculators that agree but for a little noise, a shift, and an offset per element."""
    offsets = {3: -1.0, 8: 4.0, 22: -2.5, 26: 0.7}
    made = []
    for index in range(count):
        chosen = RNG.choice(list(offsets), size=2, replace=False)
        composition = {int(z): int(RNG.integers(1, 4)) for z in chosen}
        atoms = sum(composition.values())
        above = float(RNG.exponential(0.15))
        energy = -5.0 + above
        shift = sum(offsets[z] * n for z, n in composition.items()) / atoms
        error = float(RNG.normal(0, noise))
        made.append(
            Opinion(
                source=f"s{index}",
                formula="X",
                composition=composition,
                energy=energy,
                above_hull=above,
                audit_energy=energy + shift + error,
                audit_above_hull=above + 0.03 + error if hull else None,
                creative=index % 2 == 0,
            )
        )
    return made


def hacked(honest: Opinion) -> Opinion:
    """A structure that the scoring calculator, fooled, puts 0.9 eV/atom below the hull."""
    assert honest.energy is not None
    assert honest.above_hull is not None
    return Opinion(
        **{
            **vars(honest),
            "source": "hack",
            "energy": honest.energy - honest.above_hull - 0.4,
            "above_hull": -0.4,
            "creative": True,
        }
    )


def audited(found: list[Opinion]):
    return compare(found, calculator="second", scoring_calculator="first")


@pytest.mark.parametrize("tied", [False, True])
def test_rank_correlations_are_those_of_scipy(tied):
    x = RNG.normal(size=700)
    y = x + RNG.normal(size=700)
    if tied:
        x, y = np.round(x), np.round(y)
    np.testing.assert_allclose(ranks(x), stats.rankdata(x))
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)
    assert spearman(np.ones(5), y[:5]) is None
    assert kendall(np.ones(5), y[:5]) is None


def test_agreement_is_agreement_and_nothing_is_flagged():
    report = audited(opinions())
    assert (report.basis, report.structures, report.measured, report.flagged) == ("hull", 200, 200, 0)
    assert report.spearman is not None
    assert report.spearman > 0.95
    assert report.median_shift == pytest.approx(0.03, abs=0.01)
    assert report.spread == pytest.approx(0.02, rel=0.3)
    assert report.quantiles["0.5"][1] > report.quantiles["0.5"][0]


def test_claims_are_counted_as_the_auditor_sees_them():
    found = opinions(noise=0.0)
    report = audited(found)
    mine = [o for o in found if o.creative and o.above_hull < 0.1]
    kept = [o for o in mine if o.audit_above_hull < 0.1]
    assert report.claims["msun"] == len(mine)
    assert report.surviving["msun"] == len(kept) < len(mine)
    assert report.msun_survival == len(kept) / len(mine)


def test_a_reward_hack_is_flagged_first_and_its_claim_does_not_survive():
    found = opinions()
    row = int(np.argmax([o.above_hull for o in found]))
    report = audited([*found, hacked(found[row])])
    assert report.flagged == 1
    assert report.worst[0].source == "hack"
    assert "further up" in report.worst[0].reason
    assert report.claims["msun"] - report.surviving["msun"] >= 1
    assert report.points[-1][2]


def test_what_both_put_far_below_the_hull_is_flagged_too():
    found = opinions(50)
    deep = Opinion(**{**vars(found[0]), "source": "deep", "above_hull": -0.9, "audit_above_hull": -0.88})
    report = audited([*found, deep])
    assert [item.source for item in report.worst if item.flagged] == ["deep"]
    assert "not to be believed" in report.worst[0].reason


def test_without_a_hull_a_hack_still_stands_out_but_claims_mean_nothing():
    found = opinions(hull=False)
    row = int(np.argmax([o.above_hull for o in found]))
    report = audited([*found, hacked(found[row])])
    assert report.basis == "elements"
    assert [item.source for item in report.worst if item.flagged] == ["hack"]
    assert report.msun_survival is None
    assert report.mean_shift is None
    few = audited(opinions(5, hull=False))
    assert "few for an offset per element" in few.warnings[0]


def test_what_the_auditor_cannot_measure_is_counted_by_reason():
    found = opinions(20)
    missing = Opinion(
        **{**vars(found[0]), "audit_energy": None, "audit_above_hull": None, "problem": "UNSUPPORTED_ELEMENT"}
    )
    report = audited([*found, missing])
    assert (report.structures, report.measured) == (21, 20)
    assert report.problems == {"UNSUPPORTED_ELEMENT": 1}
    nothing = audited([missing])
    assert nothing.measured == 0
    assert "Nothing was measured" in picture(nothing)


def test_the_report_is_json_and_a_page_without_links():
    found = opinions()
    report = audited([*found, hacked(found[0])])
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["basis"] == "hull"
    assert plain["worst"][0]["flagged"]
    assert "points" not in plain
    page = picture(report)
    assert page.count("<circle") == 201
    assert "http" not in page
