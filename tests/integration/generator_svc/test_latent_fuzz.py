"""Latents no training ever saw: what they decode to is a cell that exists, and nothing after it breaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from generator_svc.cleanup.plan import CleanupPlan
from generator_svc.finisher.network import Finisher, FinisherConfig
from generator_svc.finisher.plan import FinishPlan
from generator_svc.service.engine import Engine
from generator_svc.storage.bundle import LoadedBundle, load_bundle
from oracle_svc.crystals.amd import amd_vectors
from oracle_svc.crystals.canonical import canonical_form
from oracle_svc.crystals.validity import ValidityLimits, check_validity
from xenolith.bundle import read_bundle
from xenolith.contract.wire import batch_from_proto, batch_to_proto
from xenolith.convert import to_cif, to_pymatgen
from xenolith.crystal import CrystalBatch

CHUNK = 500
WILD = ("wide", "vast", "constant", "one channel", "sparse", "huge")


def test_wild_latents_decode_to_crystals(tiny_bundle):
    decode_wild_latents(load_bundle(tiny_bundle), 1_000)


@pytest.mark.parametrize("scale", [0.3, 30.0], ids=["some", "absurd"])
def test_a_wild_finisher_leaves_crystals_crystals(tiny_bundle, scale):
    torch.manual_seed(0)
    finisher = Finisher(FinisherConfig(width=16, layers=1, heads=2, channels=4, radial=5))
    for parameter in finisher.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    loaded = replace(load_bundle(tiny_bundle), finisher=finisher.requires_grad_(False))
    decode_wild_latents(loaded, 500, FinishPlan(steps=3, noise=5.0))


@pytest.mark.slow
def test_ten_thousand_wild_latents_of_the_shipped_bundle_decode_to_crystals(bundle_dir):
    decode_wild_latents(load_bundle(read_bundle(bundle_dir)), 10_000)


def latents(kind: str, atoms: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Standardised latents, for which training data are of the order of 1."""
    normal = rng.normal(size=(atoms, width))
    made = {
        "wide": 10 * normal,
        "vast": 1e4 * normal,
        "constant": np.full((atoms, width), rng.normal() * 100),
        "one channel": normal * (np.arange(width) == rng.integers(width)) * 1e6,
        "sparse": normal * (rng.random((atoms, width)) < 0.05) * 1e3,
        "huge": 1e30 * np.sign(normal),
    }
    return made[kind].astype(np.float32)


def decode_wild_latents(loaded: LoadedBundle, total: int, finishing: FinishPlan | None = None) -> None:
    engine = Engine(loaded, torch.device("cpu"))
    rng = np.random.default_rng(0)
    width, limit = loaded.autoencoder.config.latent_dim, int(loaded.atom_counts.max())
    for start in range(0, total, CHUNK):
        counts = rng.integers(1, limit + 1, CHUNK)
        parts = [latents(WILD[i % len(WILD)], counts[i], width, rng) for i in range(CHUNK)]
        clean = CleanupPlan(symmetrize_tolerance=0.1) if start == 0 else CleanupPlan()
        crystals = engine.decode(np.concatenate(parts), counts, finishing, clean).crystals
        assert_exist(crystals, counts)
        assert_harmless(crystals)


def assert_exist(crystals: CrystalBatch, counts: np.ndarray) -> None:
    np.testing.assert_array_equal(crystals.num_atoms, counts)
    assert np.isfinite(crystals.lattices).all()
    assert np.isfinite(crystals.frac_coords).all()
    assert ((crystals.frac_coords >= 0) & (crystals.frac_coords <= 1)).all()
    assert ((crystals.numbers >= 1) & (crystals.numbers <= 100)).all()
    # Positive, so right-handed, and far from the flat cells that no code survives.
    lengths = np.linalg.norm(crystals.lattices, axis=2)
    assert (np.linalg.det(crystals.lattices) > 1e-9 * lengths.prod(axis=1)).all()
    assert (lengths > 1e-2).all()
    assert (lengths < 1e5).all()


def assert_harmless(crystals: CrystalBatch) -> None:
    assert len(batch_from_proto(batch_to_proto(crystals))) == len(crystals)
    report = check_validity(crystals, ValidityLimits(), frozenset(range(1, 101)))
    sound = np.flatnonzero(report.valid)
    for index in sound[:20]:
        assert canonical_form(crystals[int(index)])
    assert np.isfinite(amd_vectors(crystals.take(sound[:50])).vectors).all()
    for index in range(0, len(crystals), 100):
        assert to_pymatgen(crystals[index]).is_ordered
        assert "data_" in to_cif(crystals[index])
