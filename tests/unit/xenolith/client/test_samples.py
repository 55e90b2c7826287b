"""Samples put together and put in order."""

import numpy as np
import pytest

from xenolith.client import Samples, Trajectory
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import InternalError
from xenolith.v1 import generator_pb2


def samples(*sizes, timesteps=(9, 5), trajectory=True):
    """Samples of these sizes, in which every number says how many atoms its sample has."""
    batch = CrystalBatch.from_crystals(
        Crystal(lattice=np.eye(3), numbers=[n] * n, frac_coords=np.zeros((n, 3))) for n in sizes
    )
    atoms = np.repeat(sizes, sizes).astype(np.float32)[:, None]
    way = Trajectory(
        latents=np.stack([atoms, atoms, atoms]),
        timesteps=timesteps,
        old_log_probs=np.array([[n, n] for n in sizes], np.float32),
    )
    return Samples(
        crystals=batch,
        latents=atoms,
        seeds=np.array(sizes, np.uint64),
        indices=np.arange(len(sizes)),
        provenance=generator_pb2.GeneratorProvenance(policy_version="v1"),
        trajectory=way if trajectory else None,
    )


def test_samples_of_several_calls_follow_one_another():
    both = Samples.concat([samples(1, 3), samples(2)])
    assert both.crystals.num_atoms.tolist() == [1, 3, 2]
    assert both.latents[:, 0].tolist() == [1, 3, 3, 3, 2, 2]
    assert both.trajectory.latents[2, :, 0].tolist() == [1, 3, 3, 3, 2, 2]
    assert both.trajectory.old_log_probs[:, 1].tolist() == [1, 3, 2]
    assert both.policy_version == "v1"


def test_taking_samples_takes_their_atoms_along():
    taken = samples(1, 3, 2).take(np.array([2, 0]))
    assert taken.crystals.num_atoms.tolist() == [2, 1]
    assert taken.latents[:, 0].tolist() == taken.trajectory.latents[0, :, 0].tolist() == [2, 2, 1]
    assert taken.seeds.tolist() == taken.trajectory.old_log_probs[:, 0].tolist() == [2, 1]


def test_a_trajectory_is_there_for_all_samples_or_for_none():
    assert Samples.concat([samples(1), samples(2, trajectory=False)]).trajectory is None


def test_trajectories_of_different_timesteps_are_not_mixed():
    with pytest.raises(InternalError, match="different timesteps"):
        Samples.concat([samples(1), samples(2, timesteps=(8, 4))])


def test_no_samples_are_no_error():
    assert len(Samples.concat([])) == 0
