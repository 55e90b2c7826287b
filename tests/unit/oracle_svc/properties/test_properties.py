"""Properties on their own: functions, files, and predictors trained on real embeddings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracle_svc.calculators import open_calculator
from oracle_svc.calculators.base import Calculator
from oracle_svc.properties import Property, crystal_property
from oracle_svc.properties.features import composition_features, element_table
from oracle_svc.properties.fitting import FitSettings
from oracle_svc.properties.host import values_of
from oracle_svc.properties.registry import open_shipped, open_source, sources_of
from oracle_svc.properties.train import TrainPlan, main, train
from oracle_svc.properties.trained import TrainedProperty, read_trained
from oracle_svc.status import Outcome
from xenolith.crystal import Crystal, CrystalBatch

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
SALT = Crystal(
    lattice=np.eye(3) * 5.64, numbers=[11] * 4 + [17] * 4, frac_coords=np.concatenate([FCC, FCC + 0.5])
)
COPPER = Crystal(lattice=np.eye(3) * 3.61, numbers=[29] * 4, frac_coords=FCC)


def test_density_and_volume_are_those_of_the_handbook():
    batch = CrystalBatch.from_crystals([SALT, COPPER])
    (density,), (volume,) = open_shipped("density"), open_shipped("volume_per_atom")
    np.testing.assert_allclose(density.predict(batch, None), [2.163, 8.96], rtol=5e-3)
    np.testing.assert_allclose(volume.predict(batch, None), [5.64**3 / 8, 3.61**3 / 4])


def test_a_function_fails_on_one_structure_alone():
    @crystal_property(unit="atoms")
    def odd(crystal: Crystal) -> float:
        """Number of atoms, unless it is copper."""
        if 29 in crystal.numbers:
            raise ValueError("no copper please")
        return crystal.num_atoms

    assert isinstance(odd, Property)
    assert (odd.name, odd.unit, odd.description) == ("odd", "atoms", "Number of atoms, unless it is copper.")
    values = values_of(odd, CrystalBatch.from_crystals([SALT, COPPER, SALT]), None)
    assert values[0] == values[2] == 8.0
    assert isinstance(values[1], Outcome)
    assert "property odd: ValueError: no copper please" in values[1].message


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_value(wrong):
    @crystal_property()
    def broken(_: Crystal) -> float:
        return wrong

    (value,) = values_of(broken, CrystalBatch.from_crystals([SALT]), None)
    assert isinstance(value, Outcome)
    assert "not a finite number" in value.message


def test_the_digest_of_a_function_changes_with_its_file(tmp_path):
    file = tmp_path / "mine.py"
    text = "from oracle_svc.properties import crystal_property as p\n@p()\ndef one(c):\n    return {}\n"
    file.write_text(text.format(1))
    first = open_source(str(file))[0]
    file.write_text(text.format(2))
    second = open_source(str(file))[0]
    assert first.name == second.name == "one"
    assert first.digest != second.digest


def test_sources_are_named_or_refused(tmp_path):
    assert sources_of("all")[:3] == ("density", "volume_per_atom", "band_gap")
    assert sources_of("none") == ()
    assert sources_of("density, density") == ("density",)
    with pytest.raises(ValueError, match="no property 'desnity': there are all, none, density"):
        sources_of("desnity")
    with pytest.raises(ValueError, match="no property file"):
        sources_of(str(tmp_path / "missing.py"))
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    with pytest.raises(ValueError, match="defines no property"):
        open_source(sources_of(str(empty))[0])


def test_composition_features_do_not_see_the_order_of_atoms():
    table = element_table()
    assert np.isfinite(table).all()
    assert table[11, -4:].tolist() == [1, 0, 0, 0]  # sodium: one s electron outside neon
    assert table[26, -4:].tolist() == [2, 0, 6, 0]  # iron: 4s2 3d6
    turned = Crystal(lattice=SALT.lattice, numbers=SALT.numbers[::-1], frac_coords=SALT.frac_coords[::-1])
    rows = composition_features(CrystalBatch.from_crystals([SALT, turned, COPPER]), table)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert rows[0, 10] == rows[0, 16] == 0.5
    assert not np.array_equal(rows[0], rows[2])


@pytest.fixture(scope="module")
def chgnet() -> Calculator:
    return open_calculator("chgnet")


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """150 simple cells; `stiffness` depends on composition and volume, half of them have none."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(150):
        numbers = rng.choice([3, 8, 12, 13, 14, 17, 22, 26], size=2)
        a = 3.0 + rng.random()
        value = 0.0 if numbers.max() < 18 else float(numbers.mean() + 5 * a)
        rows.append(
            {
                "material_id": f"x-{index}",
                "lattice": [a, a, a, 90.0, 90.0, 90.0],
                "numbers": numbers.tolist(),
                "frac": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5],
                "stiffness": value,
                "level": float(numbers.mean()) - 40.0,
            }
        )
    rows[7]["stiffness"] = None
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


QUICK = FitSettings(members=2, hidden=32, epochs=60, batch=32)


def plan(table: Path, out: Path, column: str) -> TrainPlan:
    return TrainPlan(
        table=table, column=column, name=column, unit="GPa", description="made up", out=out, fit=QUICK
    )


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def trained(table, chgnet, trained_folder) -> TrainedProperty:
    return train(plan(table, trained_folder, "stiffness"), chgnet)


def test_a_column_with_zeros_is_learnt_behind_a_gate(trained):
    assert trained.info["gate_at"] is not None
    test = trained.info["test"]
    assert test["mae"] < 0.5 * test["mae_of_mean"]
    assert test["zero_or_not_right"] > 0.8
    assert trained.info["data"]["train"] + trained.info["data"]["val"] + test["count"] == 149


def test_a_column_of_any_sign_is_learnt_without(table, chgnet, tmp_path):
    learnt = train(plan(table, tmp_path, "level"), chgnet)
    assert learnt.info["gate_at"] is None
    assert learnt.info["test"]["mae"] < 0.3 * learnt.info["test"]["mae_of_mean"]


def test_equal_seeds_give_equal_weights(table, chgnet, trained, tmp_path):
    again = train(plan(table, tmp_path, "stiffness"), chgnet)
    assert again.digest == trained.digest
    assert again.info["test"] == trained.info["test"]


def test_what_reads_back_predicts_and_doubts(trained, chgnet):
    batch = CrystalBatch.from_crystals([SALT, COPPER])
    embeddings = chgnet.evaluate(batch).embeddings
    assert np.isfinite(trained.predict(batch, embeddings)).all()
    spread = trained.uncertainty.predict(batch, embeddings)
    assert (spread >= 0).all()
    assert spread.max() > 0
    assert trained.uncertainty.name == "stiffness_std"
    assert trained.embeddings_of == chgnet.settings_digest
    with pytest.raises(ValueError, match="embeddings of 64 numbers"):
        trained.predict(batch, None)


@pytest.mark.usefixtures("trained")
def test_altered_weights_are_refused(trained_folder, tmp_path):
    manifest = shutil.copy(trained_folder / "stiffness.json", tmp_path)
    weights = (trained_folder / "stiffness.safetensors").read_bytes()
    (tmp_path / "stiffness.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"not what stiffness\.json names"):
        read_trained(Path(manifest))


def test_the_command_names_what_is_missing(table, tmp_path):
    with pytest.raises(ValueError, match="no column 'hardness'; it has material_id"):
        main([str(table), "--column", "hardness", "--out", str(tmp_path)])


def test_the_shipped_band_gap_beats_its_baselines_and_knows_salt_from_copper(chgnet):
    gap, doubt = open_shipped("band_gap")
    assert isinstance(gap, TrainedProperty)
    test = gap.info["test"]
    assert test["count"] > 8000
    assert test["mae"] < test["mae_of_composition_alone"] < test["mae_of_mean"]
    assert gap.info["weights"]["bytes"] < 500_000
    assert "CC-BY-4.0" in gap.licence
    assert json.dumps(gap.info)
    batch = CrystalBatch.from_crystals([SALT, COPPER])
    embeddings = chgnet.evaluate(batch).embeddings
    values = gap.predict(batch, embeddings)
    assert values[0] == pytest.approx(5.0, abs=1.0)  # PBE: 5.0 eV
    assert values[1] == 0.0
    assert (doubt.predict(batch, embeddings) < 1.0).all()
