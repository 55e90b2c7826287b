"""Reward arithmetic: floors, transforms, normalisation, and what must not pay."""

import numpy as np
import pytest

from trainer_svc.errors import ConfigError
from trainer_svc.measurements import Measurements
from trainer_svc.rewards import builtin_specs, compute_rewards, load_spec

SPEC = load_spec("discovery")


def measured(**columns):
    """Five structures: creative and stable, novel twin of it, known, far off the hull, failed."""
    values = {
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
    return compute_rewards(batch, np.zeros(len(batch), dtype=np.int64), spec)


def term(rewards, label):
    return next(item for item in rewards.terms if item.label == label)


def test_creativity_is_one_only_for_unique_and_novel():
    values = term(rewards_of(measured()), "creativity").transformed
    assert values[3] == 1.0
    assert values[0] == values[1] == 0.5  # two copies share one credit
    assert 0.0 < values[2] < 0.05  # a near copy of a known structure
    assert values[4] == 0.0


@pytest.mark.parametrize("distance", [0.0, 7.13, 1e9, np.inf, np.nan, -1.0])
def test_creativity_stays_bounded_for_any_amd_distance(distance):
    batch = measured(novel=[0, 0, 0, 0, 0], amd_distance=[distance] * 5)
    values = term(rewards_of(batch), "creativity").transformed
    assert (values >= 0.0).all() and (values < 0.5 + 1e-12).all()


def test_first_copy_keeps_the_credit_when_copies_do_not_share():
    spec = SPEC.model_copy(
        update={"creativity": SPEC.creativity.model_copy(update={"share_duplicates": False})}
    )
    values = term(rewards_of(measured(), spec), "creativity").transformed
    assert values[0] == 1.0 and values[1] == 0.0


def test_stability_is_clamped_and_failures_get_the_floor():
    rewards = rewards_of(measured())
    stability = term(rewards, "stability")
    np.testing.assert_allclose(stability.transformed, [-0.01, -0.01, 0.0, -1.0, -1.0])
    assert stability.floored.tolist() == [False, False, False, False, True]
    assert rewards.reason[4] == "TOO_CLOSE"


def test_suspiciously_low_energy_earns_the_floor_not_the_prize():
    batch = measured(e_above_hull=[-0.2, 0.0, 0.0, -40.0, np.nan])
    rewards = rewards_of(batch)
    stability = term(rewards, "stability")
    assert (
        stability.transformed[0] == stability.transformed[1] == 0.0
    )  # below the hull earns no more than on it
    assert stability.transformed[3] == -1.0
    assert rewards.reason[3] == "SUSPICIOUS_ENERGY"


def test_rewards_are_finite_for_any_measurement():
    rng = np.random.default_rng(0)
    junk = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0])
    for _ in range(200):
        columns = {
            name: rng.choice(junk, 5) for name in ("e_above_hull", "amd_distance", "structure_diversity")
        }
        rewards = rewards_of(measured(**columns))
        assert np.isfinite(rewards.total).all() and np.isfinite(rewards.plain).all()


def test_batch_without_any_measurement_is_valued():
    batch = Measurements(status=("MALFORMED",) * 3)
    rewards = compute_rewards(batch, np.zeros(3, dtype=np.int64), SPEC)
    assert len(set(rewards.total.tolist())) == 1


def test_failed_structures_never_beat_the_worst_good_one():
    rewards = rewards_of(measured())
    assert rewards.total[4] <= rewards.total[:4].min()


def test_group_normalisation_stays_inside_the_group():
    spec = load_spec('name = "x"\n[[terms]]\nfield = "density"\nnormalise = "group"\n')
    batch = Measurements(status=("OK",) * 4, values={"density": np.array([1.0, 3.0, 100.0, 300.0])})
    rewards = compute_rewards(batch, np.array([0, 0, 1, 1]), spec)
    np.testing.assert_allclose(rewards.total, [-1.0, 1.0, -1.0, 1.0])
    whole = spec.model_copy(update={"terms": (spec.terms[0].model_copy(update={"normalise": "batch"}),)})
    assert compute_rewards(batch, np.array([0, 0, 1, 1]), whole).total[1] < 0.0


def test_equal_values_normalise_to_zero():
    spec = load_spec('name = "x"\n[[terms]]\nfield = "density"\nnormalise = "group"\n')
    batch = Measurements(status=("OK",) * 3, values={"density": np.array([2.0, 2.0, 2.0 + 1e-12])})
    assert compute_rewards(batch, np.zeros(3, dtype=np.int64), spec).total.tolist() == [0.0, 0.0, 0.0]


TRANSFORMS = [
    ('kind = "identity"', -0.3, -0.3),
    ('kind = "clamp", low = 0.0, high = 1.0', 1.7, 1.0),
    ('kind = "negative_clamp", low = 0.0, high = 1.0', 0.3, -0.3),
    ('kind = "sigmoid", centre = 0.1, width = -0.05', 0.1, 0.5),
    ('kind = "target", value = 3.0, scale = 2.0', 1.0, -1.0),
    ('kind = "target", value = 3.0, limit = 4.0', 90.0, -4.0),
    ('kind = "threshold", below = 0.1', 0.05, 1.0),
    ('kind = "threshold", below = 0.1', 0.1, 0.0),
    ('kind = "threshold", above = 1.0, below = 2.0', 3.0, 0.0),
]


@pytest.mark.parametrize(("text", "raw", "expected"), TRANSFORMS)
def test_transforms(text, raw, expected):
    spec = load_spec(f'name = "x"\n[[terms]]\nfield = "q"\ntransform = {{ {text} }}\n')
    batch = Measurements(status=("OK", "OK"), values={"q": np.array([raw, np.nan])})
    rewards = compute_rewards(batch, np.zeros(2, dtype=np.int64), spec)
    assert rewards.total[0] == pytest.approx(expected)
    assert rewards.terms[0].floored.tolist() == [False, True]
    assert rewards.terms[0].raw[0] == raw


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nterms = []\n', "terms"),
        ('name = "x"\n[[terms]]\nfield = "q"\nwieght = 2\n', "wieght"),
        ('name = "x"\n[[terms]]\nfield = "q"\ntransform = { kind = "cube" }\n', "cube"),
        ('name = "x"\n[[terms]]\nfield = "q"\ntransform = { kind = "threshold" }\n', "below"),
        ('name = "x"\n[[terms]]\nfield = "q"\ntransform = { kind = "clamp", low = 2.0 }\n', "low"),
        ('name = "x"\n[[terms]]\nfield = "q"\n[[terms]]\nfield = "q"\n', "same field"),
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
