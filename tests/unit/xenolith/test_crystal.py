import numpy as np
import pytest

from xenolith import Crystal, CrystalBatch
from xenolith.errors import CrystalError, InvalidArgumentError, XenolithError


def salt() -> Crystal:
    return Crystal(lattice=np.eye(3) * 4.0, numbers=[11, 17], frac_coords=[[0, 0, 0], [0.5, 0.5, 0.5]])


def ragged() -> CrystalBatch:
    rng = np.random.default_rng(1)
    return CrystalBatch.from_crystals(
        Crystal(lattice=rng.normal(size=(3, 3)), numbers=np.full(n, n + 1), frac_coords=rng.random((n, 3)))
        for n in (2, 0, 5, 1)
    )


def test_arrays_are_read_only_copies() -> None:
    lattice = np.eye(3)
    crystal = Crystal(lattice=lattice, numbers=[1], frac_coords=[[0, 0, 0]])
    lattice[0, 0] = 9
    assert crystal.lattice[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        crystal.numbers[0] = 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lattice": np.eye(2)}, "lattice"),
        ({"lattice": [[1, 2], [3]]}, "lattice"),
        ({"numbers": [1.5, 2.0]}, "numbers"),
        ({"numbers": [[1, 2]]}, "numbers"),
        ({"numbers": [1, 2**40]}, "numbers"),
        ({"numbers": ["Na", "Cl"]}, "numbers"),
        ({"frac_coords": [[0, 0, 0]]}, "frac_coords"),
        ({"frac_coords": [[0, 0], [1, 1]]}, "frac_coords"),
        ({"frac_coords": [["a", 0, 0], [1, 1, 1]]}, "frac_coords"),
    ],
)
def test_wrong_shapes_are_refused_by_name(change: dict[str, object], field: str) -> None:
    good = {"lattice": np.eye(3), "numbers": [1, 2], "frac_coords": np.zeros((2, 3))}
    with pytest.raises(CrystalError, match=field) as caught:
        Crystal(**{**good, **change})  # type: ignore[arg-type]
    assert caught.value.field == field
    assert isinstance(caught.value, InvalidArgumentError | ValueError | XenolithError)


def test_unphysical_values_are_data() -> None:
    odd = Crystal(lattice=np.full((3, 3), np.nan), numbers=[0, 119], frac_coords=[[np.inf, 0, 0], [0, 0, 0]])
    assert np.isnan(odd.volume)
    assert odd.formula == ""
    assert Crystal(lattice=np.zeros((3, 3)), numbers=[], frac_coords=[]).volume == 0
    assert odd == Crystal(lattice=odd.lattice, numbers=odd.numbers, frac_coords=odd.frac_coords)


def test_volume_and_formula() -> None:
    assert salt().volume == pytest.approx(64)
    assert salt().formula == "NaCl"
    left_handed = Crystal(lattice=-np.eye(3), numbers=[8] * 4, frac_coords=np.zeros((4, 3)))
    assert (left_handed.volume, left_handed.formula) == (pytest.approx(1), "O2")


def test_a_batch_gives_back_its_crystals() -> None:
    batch = ragged()
    assert (len(batch), batch.total_atoms, batch.offsets.tolist()) == (4, 8, [0, 2, 2, 7, 8])
    assert CrystalBatch.from_crystals(batch) == batch
    assert batch[-1].numbers.tolist() == [2]
    assert batch[1].num_atoms == 0
    with pytest.raises(IndexError):
        batch[4]


def test_take_slice_and_concat_keep_atoms_with_their_structure() -> None:
    batch = ragged()
    taken = batch.take([2, 0, 2, -1])
    assert [c.num_atoms for c in taken] == [5, 2, 5, 1]
    assert all(a == b for a, b in zip(taken, (batch[2], batch[0], batch[2], batch[3]), strict=True))
    assert batch[1:3] == batch.take([1, 2])
    assert CrystalBatch.concat([batch[:2], batch[2:]]) == batch
    assert len(CrystalBatch.concat([])) == len(batch.take([])) == len(CrystalBatch.from_crystals([])) == 0


def test_volumes_cope_with_any_cell() -> None:
    cells = [np.eye(3) * 2, np.zeros((3, 3)), np.full((3, 3), np.inf)]
    batch = CrystalBatch.from_crystals(
        Crystal(lattice=c, numbers=[1], frac_coords=[[0, 0, 0]]) for c in cells
    )
    np.testing.assert_allclose(batch.volumes, [8, 0, np.nan])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"num_atoms": [2, -1]}, "num_atoms"),
        ({"num_atoms": [2, 2]}, "numbers"),
        ({"lattices": np.zeros((1, 3, 3))}, "lattices"),
        ({"frac_coords": np.zeros((2, 3))}, "frac_coords"),
    ],
)
def test_columns_that_disagree_are_refused(change: dict[str, object], field: str) -> None:
    good = {
        "num_atoms": [2, 1],
        "lattices": np.zeros((2, 3, 3)),
        "numbers": [1, 2, 3],
        "frac_coords": np.zeros((3, 3)),
    }
    with pytest.raises(CrystalError) as caught:
        CrystalBatch(**{**good, **change})  # type: ignore[arg-type]
    assert caught.value.field == field
