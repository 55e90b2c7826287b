"""Reward arithmetic: floors, transforms, normalisation, and what must not pay."""

import numpy as np
import pytest

from trainer_svc.errors import ConfigError
from trainer_svc.rewards import builtin_specs, compute_rewards, load_spec
from trainer_svc.rewards.embedding_diversity import embedding_diversity
from trainer_svc.rewards.measurements import Measurements
from trainer_svc.rewards.metrics import DERIVED, columns_of, is_metric
from trainer_svc.services.scoring import components_of
from xenolith.contract.columns import NUMBERS
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.v1 import oracle_pb2

SPEC = load_spec("discovery")
ONE_GROUP = np.zeros(5, dtype=np.int64)


def measured(**columns):
    """Five structures: creative and stable, its copy, a known one, one far off the hull, an invalid one."""
    values = {
        "valid": [1, 1, 1, 1, 0],
        "novel": [1, 1, 0, 1, np.nan],
        "unique": [1, 0, 1, 1, np.nan],
        "amd_distance": [1.2, 1.2, 0.02, 0.9, np.nan],
        "e_above_hull": [0.01, 0.01, 0.0, 3.0, np.nan],
        "structure_diversity": [0.1, 0.1, 0.2, 0.5, np.nan],
        "composition_diversity": [0.1, 0.1, 0.2, 0.5, np.nan],
    } | columns
    return Measurements(
        status=("OK", "OK", "OK", "OK", "TOO_CLOSE"),
        values={name: np.asarray(column, dtype=float) for name, column in values.items()},
        duplicate_of=np.array([-1, 0, -1, -1, -1]),
    )


def rewards_of(batch, spec=SPEC):
    return compute_rewards(batch, ONE_GROUP, spec)


def term(rewards, name):
    return next(item for item in rewards.terms if item.name == name)


def test_creativity_is_one_only_for_unique_and_novel():
    values = term(rewards_of(measured()), "creativity").transformed
    assert values[3] == 1.0
    assert values[0] == values[1] == 0.5  # two copies share one credit
    assert 0.0 < values[2] < 0.05  # a near copy of a known structure


@pytest.mark.parametrize("distance", [0.0, 7.13, 1e9, np.inf, np.nan, -1.0])
def test_creativity_stays_bounded_for_any_amd_distance(distance):
    batch = measured(novel=[0, 0, 0, 0, np.nan], amd_distance=[distance] * 5)
    values = term(rewards_of(batch), "creativity").transformed[:4]
    assert (values >= 0.0).all()
    assert (values <= 0.5).all()


def test_first_copy_keeps_the_credit_when_copies_do_not_share():
    greedy = SPEC.creativity.model_copy(update={"share_duplicates": False})
    values = term(
        rewards_of(measured(), SPEC.model_copy(update={"creativity": greedy})), "creativity"
    ).transformed
    assert values[0] == 1.0
    assert values[1] == 0.0


def test_stability_decays_with_the_distance_from_the_hull():
    stability = term(rewards_of(measured()), "stability")
    np.testing.assert_allclose(stability.transformed, [*np.exp([-0.01, -0.01, 0.0, -3.0]), np.nan])
    assert stability.raw[3] == 3.0


def test_invalid_structures_get_the_floor_and_their_reason():
    rewards = rewards_of(measured())
    assert rewards.total[4] == rewards.plain[4] == -1.0
    assert rewards.reasons == ("", "", "", "", "TOO_CLOSE")
    assert rewards.total[4] < rewards.total[:4].min()


def test_floor_is_the_worst_valid_reward_when_none_is_given():
    rewards = rewards_of(measured(), SPEC.model_copy(update={"invalid_reward": None}))
    assert rewards.total[4] == rewards.total[:4].min()


def test_suspiciously_low_energy_earns_the_floor_not_the_prize():
    rewards = rewards_of(measured(e_above_hull=[-0.2, 0.0, 0.0, -40.0, np.nan]))
    stability = term(rewards, "stability").transformed
    assert stability[0] == stability[1] == 1.0  # below the hull earns no more than on it
    assert rewards.total[3] == -1.0
    assert rewards.reasons[3] == "SUSPICIOUS_ENERGY"


def test_a_valid_structure_without_reference_gets_the_failed_value():
    batch = measured(e_above_hull=[0.01, np.nan, 0.0, 3.0, np.nan])
    rewards = rewards_of(batch)
    assert term(rewards, "stability").transformed[1] == 0.0
    assert rewards.reasons[1] == ""


def test_a_term_without_failed_value_says_nothing_where_it_is_absent():
    batch = measured(structure_diversity=[1.0, np.nan, 3.0, 5.0, np.nan])
    diversity = term(rewards_of(batch), "structure_diversity")
    assert diversity.normalised[1] == pytest.approx(0.0)
    assert np.isnan(diversity.transformed[1])


def test_rewards_are_finite_for_any_measurement():
    rng = np.random.default_rng(0)
    junk = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, 1.0])
    names = list(measured().values)
    for _ in range(300):
        rewards = rewards_of(measured(**{name: rng.choice(junk, 5) for name in names}))
        assert np.isfinite(rewards.total).all()
        assert np.isfinite(rewards.plain).all()


def test_batch_without_any_measurement_is_valued():
    batch = Measurements(status=("MALFORMED",) * 3)
    rewards = compute_rewards(batch, np.zeros(3, dtype=np.int64), SPEC)
    assert rewards.total.tolist() == [-1.0] * 3


def density(normalization, values, groups):
    spec = load_spec(f'[[terms]]\nmetric = "density"\nnormalization = "{normalization}"\n')
    values = {"valid": np.ones(len(values)), "density": np.array(values)}
    batch = Measurements(status=("OK",) * len(groups), values=values)
    return compute_rewards(batch, np.array(groups), spec).total


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [
        ("none", [1.0, 3.0, 100.0, 300.0]),
        ("group_standard", [-1.0, 1.0, -1.0, 1.0]),
        ("group_min_max", [0.0, 1.0, 0.0, 1.0]),
        ("step_min_max", [0.0, 2 / 299, 99 / 299, 1.0]),
    ],
)
def test_normalization(normalization, expected):
    np.testing.assert_allclose(density(normalization, [1.0, 3.0, 100.0, 300.0], [0, 0, 1, 1]), expected)


def test_step_standard_has_mean_zero_and_deviation_one():
    total = density("step_standard", [1.0, 3.0, 100.0, 300.0], [0, 0, 1, 1])
    assert total.mean() == pytest.approx(0.0)
    assert total.std() == pytest.approx(1.0)


def test_equal_values_normalise_to_zero():
    assert density("group_standard", [2.0, 2.0, 2.0 + 1e-12], [0, 0, 0]).tolist() == [0.0, 0.0, 0.0]


TRANSFORMS = [
    ("linear = { scale = 2.0, offset = 1.0 }", -0.3, 0.4),
    ("clamp = { low = 0.0, high = 1.0 }", 1.7, 1.0),
    ("clamp = { low = 0.0, high = 1.0, scale = -1.0 }", 0.3, -0.3),
    ("sigmoid = { midpoint = 0.1, width = -0.05 }", 0.1, 0.5),
    ("target = { target = 3.0, width = 2.0 }", 1.0, -1.0),
    ("threshold = { threshold = 0.1, below = true }", 0.05, 1.0),
    ("threshold = { threshold = 0.1, below = true }", 0.1, 0.0),
    ("threshold = { threshold = 0.1 }", 0.2, 1.0),
    ("decay = { scale = 2.0 }", -5.0, 1.0),
]


@pytest.mark.parametrize(("text", "raw", "expected"), TRANSFORMS)
def test_transforms(text, raw, expected):
    spec = load_spec(f'[[terms]]\nmetric = "q"\nnormalization = "none"\ntransform = {{ {text} }}\n')
    batch = Measurements(status=("OK", "OK"), values={"valid": np.ones(2), "q": np.array([raw, np.nan])})
    rewards = compute_rewards(batch, np.zeros(2, dtype=np.int64), spec)
    assert rewards.total[0] == pytest.approx(expected)
    assert rewards.terms[0].raw[0] == raw
    assert np.isnan(rewards.terms[0].transformed[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nterms = []\n', "terms"),
        ('[[terms]]\nmetric = "q"\nwieght = 2\n', "wieght"),
        ('[[terms]]\nmetric = "q"\ntransform = { cube = {} }\n', "cube"),
        ('[[terms]]\nmetric = "q"\ntransform = { clamp = { low = 2.0 } }\n', "low"),
        ('[[terms]]\nmetric = "q"\ntransform = { decay = { scale = 1.0 }, linear = {} }\n', "one function"),
        ('[[terms]]\nmetric = "q"\n[[terms]]\nmetric = "q"\n', "own name"),
        ("name = \n", "TOML"),
    ],
)
def test_bad_specs_are_refused_with_the_key_named(text, message):
    with pytest.raises(ConfigError, match=message):
        load_spec(text)


def test_unknown_spec_names_the_known_ones():
    with pytest.raises(ConfigError, match="discovery"):
        load_spec("no-such-spec")


def test_every_shipped_spec_loads():
    assert "discovery" in builtin_specs()
    for name in builtin_specs():
        assert load_spec(name).name == name


def test_the_band_gap_reward_is_best_at_three_electronvolts():
    spec = load_spec("band_gap")
    batch = measured(**{"properties.band_gap": [3.0, 2.0, 0.0, np.nan, np.nan], "e_above_hull": [0.0] * 5})
    values = term(rewards_of(batch, spec), "properties.band_gap").transformed
    np.testing.assert_allclose(values[:4], [0.0, -1.0, -9.0, -9.0])
    rewards = rewards_of(batch, spec)
    assert rewards.total[0] == rewards.total.max()
    assert rewards.total[4] == -10.0 == rewards.total.min()


def test_in_a_conjunction_stability_counts_as_far_as_a_crystal_is_creative():
    spec = SPEC.model_copy(update={"combine": "conjunction"})
    gated, plain = rewards_of(measured(), spec), rewards_of(measured())
    creativity = term(plain, "creativity").transformed
    for name in ("stability", "near_hull"):
        np.testing.assert_allclose(term(gated, name).transformed, creativity * term(plain, name).transformed)
    known, creative = 2, 0
    # On the hull and known pays in a sum; a conjunction asks for both.
    assert gated.plain[known] < gated.plain[creative]
    assert plain.plain[known] > gated.plain[known] + 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[terms]]\nmetric = "novel"\ngate = "creativity"\ntransform = { decay = { scale = 1.0 } }', "gate"),
        (
            (
                '[[terms]]\nmetric = "creativity"\n[[terms]]\nmetric = "e_above_hull"\ngate = "creativity"\n'
                "transform = { linear = { scale = -1.0 } }"
            ),
            "decay, sigmoid or threshold",
        ),
        ('[elements]\navoid = ["Xx"]\n[[terms]]\nmetric = "novel"', "Xx"),
    ],
)
def test_gates_and_elements_that_make_no_sense_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        load_spec(text)


def test_a_range_is_as_good_everywhere_inside():
    spec = load_spec(
        '[[terms]]\nmetric = "e_above_hull"\nnormalization = "none"\n'
        "transform = { range = { low = 1.0, high = 2.0, width = 0.5 } }"
    )
    batch = measured(e_above_hull=[1.0, 1.7, 0.5, 3.0, np.nan])
    np.testing.assert_allclose(term(rewards_of(batch, spec), "e_above_hull").raw[:2], [1.0, 1.7])
    np.testing.assert_allclose(rewards_of(batch, spec).total[:4], [0.0, 0.0, -1.0, -4.0])


def test_what_earlier_steps_found_earns_less():
    remembering = SPEC.creativity.model_copy(update={"memory": 0.5})
    batch = measured(found_before=[0, 0, 0, 4, np.nan])
    spec = SPEC.model_copy(update={"creativity": remembering})
    values = term(rewards_of(batch, spec), "creativity").transformed
    assert values[0] == 0.5  # new to the run
    assert values[3] == pytest.approx(1.0 / 3.0)
    forgetting = SPEC.creativity.model_copy(update={"memory": 0.0})
    plain = SPEC.model_copy(update={"creativity": forgetting})
    assert term(rewards_of(batch, plain), "creativity").transformed[3] == 1.0


def test_elements_are_avoided_and_favoured():
    text = (
        '[elements]\navoid = ["radioactive", "Hg"]\nfavour = ["Li"]\nweight = 2.0\n'
        '[[terms]]\nmetric = "novel"\nnormalization = "none"\nweight = 0.0'
    )
    members = [[3, 8], [80, 8], [43, 3], [8, 8], [3, 3]]
    crystals = CrystalBatch.from_crystals(
        [
            Crystal(lattice=4 * np.eye(3), numbers=np.array(pair, np.int32), frac_coords=np.eye(3)[:2] / 2)
            for pair in members
        ]
    )
    rewards = compute_rewards(measured(), ONE_GROUP, load_spec(text), crystals)
    np.testing.assert_allclose(rewards.plain[:4], [1.0, -2.0, -1.0, 0.0])


def test_the_paper_s_reward_scales_all_but_creativity_over_the_step():
    spec = load_spec("paper")
    rewards = rewards_of(measured(embedding_diversity=[0.1, 0.1, 0.2, 0.5, np.nan]), spec)
    for name in ("energy", "embedding_diversity", "composition_diversity"):
        values = term(rewards, name).normalised[:4]
        assert (values.min(), values.max()) == (0.0, 1.0)
    assert term(rewards, "creativity").normalised[3] == 1.0


def test_the_embedding_unlike_the_others_adds_most_and_copies_add_least():
    rng = np.random.default_rng(0)
    crowd = rng.normal(size=(10, 6)) * 0.1 + np.array([1.0, 0, 0, 0, 0, 0])
    embeddings = np.vstack([crowd, [[-1.0, 3.0, 0, 0, 0, 0]], [[np.nan] * 6], crowd[:1], crowd[:1]])
    values = embedding_diversity(embeddings.astype(np.float32))
    assert np.isnan(values[11])
    assert np.nanargmax(values) == 10
    assert values[0] == pytest.approx(values[12]) == pytest.approx(values[13])
    assert values[0] < np.nanmean(values[1:10])
    assert np.isnan(embedding_diversity(np.full((3, 4), np.nan, dtype=np.float32))).all()


CAUTIOUS = """
name = "cautious"
[[terms]]
name = "stability"
metric = "committee_e_above_hull"
caution = 2.0
transform = { decay = { scale = 0.25 } }
normalization = "none"
failed_value = 0.0
"""


def test_a_cautious_term_believes_judges_less_where_they_part():
    spec = load_spec(CAUTIOUS)
    batch = measured(
        committee_e_above_hull=[0.1, 0.1, 0.1, 0.1, np.nan], committee_spread=[0.0, 0.05, np.nan, 0.3, np.nan]
    )
    value = term(rewards_of(batch, spec), "stability")
    assert value.raw[:2] == pytest.approx([0.1, 0.2])
    assert value.raw[3] == pytest.approx(0.7)
    assert value.transformed[0] > value.transformed[1] > value.transformed[3] > 0.0
    assert value.transformed[2] == 0.0  # one of them had no opinion
    assert oracle_pb2.COMPONENT_AUDIT in components_of(spec)
    assert oracle_pb2.COMPONENT_AUDIT not in components_of(SPEC)


def test_caution_is_of_energies_above_the_hull():
    with pytest.raises(ConfigError, match="caution is for energies above the hull, not for creativity"):
        load_spec('[[terms]]\nmetric = "creativity"\ncaution = 1.0\n')


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_metric_can_be_valued_and_follows_from_columns_of_the_oracle(name):
    assert is_metric(name)
    (only,) = load_spec(f'[[terms]]\nmetric = "{name}"\n').terms
    assert set(columns_of(only)) <= set(NUMBERS)
    assert name not in NUMBERS


def test_a_term_needs_its_column_and_a_cautious_one_the_spread_of_the_judges():
    assert columns_of(load_spec(CAUTIOUS).terms[0]) == ("committee_e_above_hull", "committee_spread")
    (only,) = load_spec('[[terms]]\nmetric = "properties.band_gap"\n').terms
    assert columns_of(only) == ("properties.band_gap",)
