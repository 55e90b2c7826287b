from __future__ import annotations

import numpy as np
import pytest

from oracle_svc.known.diversity.contributions import (
    FeatureSpace,
    amd_features,
    composition_vectors,
)
from xenolith.diversity import contributions, kernel

RNG = np.random.default_rng(0)


def mmd(batch: np.ndarray, reference: np.ndarray) -> float:
    return float(
        kernel(batch, batch).mean()
        - 2 * kernel(batch, reference).mean()
        + kernel(reference, reference).mean()
    )


def known_features() -> np.ndarray:
    return RNG.normal(size=(300, 8)) * np.arange(1, 9) + 5.0


def space() -> FeatureSpace:
    return FeatureSpace.from_embeddings(known_features())


def test_contributions_are_the_differences_of_mmd():
    features = known_features()
    known = FeatureSpace.from_embeddings(features)
    vectors = known.vectors(RNG.normal(size=(12, 8)) * np.arange(1, 9) + 5.0)
    fast = contributions(vectors, known.reference_term(vectors))
    reference = known.vectors(features).astype(np.float64)
    exact = vectors.astype(np.float64)
    slow = [mmd(np.delete(exact, i, axis=0), reference) - mmd(exact, reference) for i in range(len(exact))]
    np.testing.assert_allclose(fast, slow, atol=1e-6)


def amd_and_compositions(size: int) -> np.ndarray:
    distances = np.cumsum(RNG.uniform(0.05, 0.4, size=(size, 13)), axis=1) + 1.5
    compositions = composition_vectors([RNG.choice(20, size=3, replace=False) + 1 for _ in range(size)])
    return np.hstack([amd_features(distances), compositions])


@pytest.mark.parametrize("kind", ["embedding", "composition", "amd"])
def test_moments_give_the_mean_kernel_of_every_reference_structure(kind, monkeypatch):
    """Dense and sparse tables, in one block or several, give what the sum over the reference gives."""
    features = {
        "embedding": known_features(),
        "composition": amd_and_compositions(301)[:, 13:],
        "amd": amd_and_compositions(301),
    }[kind]
    make = {
        "embedding": FeatureSpace.from_embeddings,
        "composition": FeatureSpace.from_compositions,
        "amd": lambda rows: FeatureSpace.from_amd(rows[:, :13], rows[:, 13:]),
    }[kind]
    monkeypatch.setattr("oracle_svc.known.diversity.moments._ROWS_AT_ONCE", 77)
    known = make(features)
    rows = known.vectors(features).astype(np.float64)
    vectors = known.vectors(features[:9][:, ::1] + 0.01)
    expected = (((vectors.astype(np.float64) @ rows.T + 1) / 2) ** 3).mean(axis=1)
    np.testing.assert_allclose(known.reference_term(vectors), expected, rtol=1e-5)


def test_a_collapsed_batch_earns_less_than_a_diverse_one_and_the_member_that_fills_a_gap_earns_most():
    """The sign: positive rewards what the batch would miss, negative punishes one of many alike."""
    features = np.concatenate([8 * np.eye(8)[i] + RNG.normal(size=(60, 8)) for i in range(8)])
    known = FeatureSpace.from_embeddings(features)
    diverse = known.vectors(np.concatenate([8 * np.eye(8)[i] + RNG.normal(size=(2, 8)) for i in range(8)]))
    collapsed = known.vectors(8 * np.eye(8)[0] + 0.1 * RNG.normal(size=(16, 8)))
    filled = np.concatenate([collapsed[:15], diverse[6:7]])

    def earned(vectors: np.ndarray) -> np.ndarray:
        return contributions(vectors, known.reference_term(vectors))

    reference = known.vectors(features)
    assert mmd(collapsed, reference) > 3 * mmd(diverse, reference)
    assert earned(collapsed).max() < earned(diverse).mean()
    assert earned(filled)[15] > 0
    assert earned(filled)[:15].max() < 0
    assert earned(filled)[15] > earned(diverse).max()
    assert mmd(filled, reference) < mmd(collapsed, reference)


def test_without_embeddings_amd_and_composition_tell_copies_from_others():
    features = amd_and_compositions(300)
    known = FeatureSpace.from_amd(features[:, :13], features[:, 13:])
    batch = np.concatenate([np.repeat(features[:1], 9, axis=0), features[1:2]])
    vectors = known.vectors(batch)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    values = contributions(vectors, known.reference_term(vectors))
    assert values[9] > 0 > values[:9].max()
    other_shape = features[:1].copy()
    other_shape[:, :13] += 2.0
    values = contributions(
        known.vectors(np.concatenate([features[:1]] * 9 + [other_shape])), known.reference_term(vectors)
    )
    assert values[9] > values[:9].max()


def test_a_copy_earns_less_than_the_one_that_differs():
    directions = np.eye(8)
    known = FeatureSpace.from_embeddings(np.concatenate([directions, -directions] * 20))
    batch = np.concatenate([np.repeat(directions[:1], 9, axis=0), directions[1:2]])
    values = contributions(known.vectors(batch), known.reference_term(known.vectors(batch)))
    assert values[9] > 0 > values[0]
    np.testing.assert_allclose(values[:9], values[0])


def test_what_nobody_knows_earns_less_than_what_the_reference_has():
    """An outlier where the reference has nothing does not help the batch to cover it."""
    directions = np.eye(8)
    known = FeatureSpace.from_embeddings(
        np.concatenate([directions[:4] + 0.05 * RNG.normal(size=(4, 8)) for _ in range(50)])
    )
    inside, outside = known.vectors(directions[1:2]), known.vectors(-np.ones((1, 8)))
    rest = known.vectors(np.repeat(directions[:1], 6, axis=0))
    batch = np.concatenate([rest, inside, outside])
    values = contributions(batch, known.reference_term(batch))
    assert values[6] > values[7]


def test_order_does_not_matter():
    known = space()
    vectors = known.vectors(RNG.normal(size=(9, 8)))
    order = RNG.permutation(9)
    term = known.reference_term(vectors)
    np.testing.assert_allclose(
        contributions(vectors, term)[order], contributions(vectors[order], term[order])
    )


def test_a_batch_of_one_has_no_diversity():
    known = space()
    assert np.isnan(contributions(known.vectors(np.ones((1, 8))), np.array([0.5]))).all()


def test_an_exploding_embedding_buys_nothing():
    known = space()
    vectors = known.vectors(np.concatenate([RNG.normal(size=(5, 8)), np.full((1, 8), 1e12)]))
    values = contributions(vectors, known.reference_term(vectors))
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 2.0


def test_a_reference_without_embeddings_is_refused():
    with pytest.raises(ValueError, match="no embeddings"):
        FeatureSpace.from_embeddings(np.full((3, 8), np.nan))


def test_compositions_are_unit_vectors_of_fractions():
    vectors = composition_vectors([np.array([11, 17]), np.array([11, 11, 17, 17]), np.array([8])])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert vectors[0, 10] == pytest.approx(np.sqrt(0.5))
    assert vectors[2, 7] == 1.0
    assert float(kernel(vectors[:1], vectors[2:])[0, 0]) == pytest.approx(1 / 8)
