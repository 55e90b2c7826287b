"""A reference reads back with the numbers that were computed, and damage is noticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracle_svc.calculators.chgnet.calculator import ChgnetCalculator
from oracle_svc.crystals.amd import amd_vectors, chebyshev
from oracle_svc.known.build.energies import compute_energies
from oracle_svc.known.build.from_tables import BuildPlan, build_reference, main
from oracle_svc.known.reference.folder import BadReferenceError, Reference
from oracle_svc.known.reference.structures import lattices_from_parameters, read_structures
from oracle_svc.known.reference.write import DataSource
from oracle_svc.status import Status

SOURCE = DataSource(name="tiny", hull_name="tiny", licence="CC0-1.0", attribution="nobody")
# Rocksalt, CsCl-type NaCl, bcc Na, a Cl2 cell, and Na too far apart for CHGNet.
ROWS = [
    ("salt", [4.0234] * 3 + [60.0] * 3, [11, 17], [0, 0, 0, 0.5, 0.5, 0.5]),
    ("cscl", [3.5] * 3 + [90.0] * 3, [11, 17], [0, 0, 0, 0.5, 0.5, 0.5]),
    ("sodium", [4.2] * 3 + [90.0] * 3, [11, 11], [0, 0, 0, 0.5, 0.5, 0.5]),
    ("chlorine", [4.5, 4.5, 6.0] + [90.0] * 3, [17, 17], [0, 0, 0.17, 0, 0, -0.17]),
    ("gas", [15.0] * 3 + [90.0] * 3, [11], [0, 0, 0]),
]


def write_table(path: Path, rows: list[tuple[str, list[float], list[int], list[float]]]) -> Path:
    names = ["material_id", "lattice", "numbers", "frac"]
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), path)
    return path


@pytest.fixture(scope="module")
def calculator() -> ChgnetCalculator:
    return ChgnetCalculator()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, calculator: ChgnetCalculator) -> Path:
    root = tmp_path_factory.mktemp("reference")
    plan = BuildPlan(
        structures=write_table(root / "known.parquet", ROWS),
        hull_extra=(write_table(root / "more.parquet", [("bcc", [4.1] * 3 + [90.0] * 3, *ROWS[2][2:])]),),
        work=root / "work",
        out=root / "out",
        source=SOURCE,
    )
    build_reference(plan, calculator)
    return plan.out


def test_reads_back_what_was_computed(folder: Path, calculator: ChgnetCalculator) -> None:
    reference = Reference.read(folder)
    batch = read_structures(folder.parent / "known.parquet").batch
    row = reference.ids.index("salt")
    evaluation = calculator.evaluate(batch[:1])
    assert evaluation.embeddings is not None
    assert len(reference) == 4
    assert reference.id.startswith("tiny-")
    assert reference.calculator_id == "chgnet-0.3.0"
    assert reference.calculator_digest == calculator.settings_digest
    assert reference.energies[row] == pytest.approx(evaluation.energy_per_atom[0], abs=1e-6)
    span = np.ptp(reference.embeddings, axis=0)
    assert (np.abs(reference.embeddings[row] - evaluation.embeddings[0]) <= span / 2000 + 1e-6).all()
    assert reference.compositions[row][[11, 17]].tolist() == [0.5, 0.5]


def test_known_structures_are_found_by_formula(folder: Path) -> None:
    reference = Reference.read(folder)
    known = reference.rows("NaCl")
    assert set(known.ids) == {"salt", "cscl"}
    vector = amd_vectors(read_structures(folder.parent / "known.parquet").batch[:1]).vectors[0]
    distances = dict(zip(known.ids, chebyshev(vector, known.amd), strict=True))
    assert distances["salt"] <= 0.00025 + 1e-9
    assert distances["cscl"] > reference.amd_tolerance
    assert reference.rows("KBr").ids == ()
    assert reference.rows("KBr").amd.shape == (0, 100)


def test_hull_of_a_reference(folder: Path) -> None:
    reference = Reference.read(folder)
    assert reference.hull.elements == {11, 17}
    assert reference.hull_id.startswith("chgnet-0.3.0-tiny-")
    for name, energy in zip(reference.ids, reference.energies, strict=True):
        table = read_structures(folder.parent / "known.parquet")
        crystal = table.batch[table.ids.index(name)]
        above = reference.hull.place(crystal.numbers, energy).above_hull
        assert above >= -1e-6
        if name == "salt":
            assert above == pytest.approx(0, abs=1e-6)


def test_the_command_builds_the_same(folder: Path, tmp_path: Path) -> None:
    tables = [str(folder.parent / name) for name in ("known.parquet", "more.parquet")]
    calibration = tmp_path / "calibration.json"
    calibration.write_text(json.dumps({"tolerance": 0.25, "matcher": "none"}))
    options = ["--work", str(folder.parent / "work"), "--out", str(tmp_path / "out"), "--name", "tiny"]
    main([tables[0], "--hull-extra", tables[1], *options, "--calibration", str(calibration)])
    built = Reference.read(tmp_path / "out")
    assert built.id == Reference.read(folder).id
    assert built.amd_tolerance == 0.25


def test_what_cannot_be_computed_is_counted(folder: Path) -> None:
    assert Reference.read(folder).info["settings"]["left_out"] == {"known": 1, "more": 0}


def test_a_stopped_run_goes_on(folder: Path, calculator: ChgnetCalculator) -> None:
    table = read_structures(folder.parent / "known.parquet")
    shards = folder.parent / "work" / "known"
    before = (shards / "00000.parquet").stat().st_mtime_ns
    compute_energies(table, calculator, shards)
    assert (shards / "00000.parquet").stat().st_mtime_ns == before


def test_shards_of_something_else_are_refused(
    folder: Path, calculator: ChgnetCalculator, tmp_path: Path
) -> None:
    other = read_structures(write_table(tmp_path / "other.parquet", ROWS[:2]))
    with pytest.raises(ValueError, match="other structures"):
        compute_energies(other, calculator, folder.parent / "work" / "known")


@pytest.mark.parametrize("name", ["structures.parquet", "hull.parquet"])
def test_damage_is_noticed(folder: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BadReferenceError, match="digest"):
        Reference.read(copy)
    (copy / name).unlink()
    with pytest.raises(BadReferenceError, match="missing"):
        Reference.read(copy)


def test_no_reference_and_newer_formats_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadReferenceError, match="no reference"):
        Reference.read(tmp_path)
    copy = shutil.copytree(folder, tmp_path / "copy")
    info = json.loads((copy / "reference.json").read_text())
    (copy / "reference.json").write_text(json.dumps({**info, "format": 99}))
    with pytest.raises(BadReferenceError, match="format 99"):
        Reference.read(copy)


def test_cells_from_parameters_are_pymatgens() -> None:
    from pymatgen.core import Lattice

    rng = np.random.default_rng(0)
    parameters = np.column_stack([rng.uniform(2, 20, (50, 3)), rng.uniform(60, 110, (50, 3))])
    expected = [Lattice.from_parameters(*row).matrix for row in parameters]
    np.testing.assert_allclose(lattices_from_parameters(parameters), expected, atol=1e-9)


def test_a_table_that_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "bad.parquet", [("x", [4.0] * 3 + [90.0] * 3, [11, 17], [0, 0, 0])])
    with pytest.raises(ValueError, match="row 0: 3 coordinates for 2 atoms"):
        read_structures(path)


@pytest.fixture(scope="module")
def shipped() -> Reference:
    folders = sorted((Path(__file__).parents[5] / "bundles").glob("*/reference"))
    if not folders:
        pytest.skip("no bundle with a reference under bundles/")
    return Reference.read(folders[0])


def test_the_shipped_reference_covers_mp20(shipped: Reference) -> None:
    assert len(shipped) == 44_172
    assert len(shipped.hull.elements) == 89
    assert {"mp-22862"} <= set(shipped.rows("NaCl").ids)
    assert np.isfinite(shipped.embeddings).all()
    np.testing.assert_allclose(shipped.compositions.sum(axis=1), 1, atol=1e-6)


def test_known_entries_lie_on_or_above_the_shipped_hull(shipped: Reference, data_dir: Path) -> None:
    table = read_structures(data_dir / "mp20.parquet")
    row_of = {name: row for row, name in enumerate(table.ids)}
    chosen = np.random.default_rng(0).choice(len(shipped), 1000, replace=False)
    batch = table.batch.take([row_of[shipped.ids[row]] for row in chosen])
    result = shipped.hull.evaluate(batch, shipped.energies[chosen])
    assert set(result.statuses) == {Status.OK}
    assert result.e_above_hull.min() >= -2e-6  # energies are kept in single precision
    vertices = {entry.id for z in shipped.hull.elements for entry in shipped.hull.phases((z,))}
    assert len(vertices) == 89
    on_hull = [
        result.e_above_hull[i]
        for i, crystal in enumerate(batch)
        if shipped.ids[chosen[i]]
        in {e.id for e in shipped.hull.phases(tuple(np.unique(crystal.numbers).tolist()))}
    ]
    assert len(on_hull) > 100
    np.testing.assert_allclose(on_hull, 0, atol=2e-6)


def test_shipped_energies_are_what_the_calculator_gives(
    shipped: Reference, data_dir: Path, calculator: ChgnetCalculator
) -> None:
    table = read_structures(data_dir / "mp20.parquet")
    row_of = {name: row for row, name in enumerate(table.ids)}
    chosen = np.random.default_rng(1).choice(len(shipped), 50, replace=False)
    batch = table.batch.take([row_of[shipped.ids[row]] for row in chosen])
    np.testing.assert_allclose(
        calculator.evaluate(batch).energy_per_atom, shipped.energies[chosen], atol=1e-4
    )
    for i, crystal in enumerate(batch):
        known = shipped.rows(crystal.formula)
        vector = amd_vectors(batch[i : i + 1]).vectors[0]
        distance = chebyshev(vector, known.amd)[known.ids.index(shipped.ids[chosen[i]])]
        assert distance <= 0.00025 + 1e-9
