"""A reference from a folder of files: read, resumed, kept small, and refused where it would mix energies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.calculators.ase_calculator import AseCalculator
from oracle_svc.crystals.amd import amd_of, amd_vectors
from oracle_svc.known.build.from_files import FilesPlan, build_from_files
from oracle_svc.known.novelty.amd_store import STEP, AmdStore
from oracle_svc.known.novelty.sameness import nearest_of
from oracle_svc.known.reference.crystal_columns import CrystalColumns, write_crystals
from oracle_svc.known.reference.folder import Reference
from oracle_svc.known.reference.write import DataSource
from tests.unit.oracle_svc.specimens import diamond, perovskite, salt
from xenolith.cli import main
from xenolith.convert import to_poscar, write_cif, write_extxyz
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError

SOURCE = DataSource(name="mine", hull_name="mine", licence="CC0-1.0", attribution="nobody")


def element(number: int, a: float) -> Crystal:
    return Crystal(lattice=a * np.eye(3), numbers=[number], frac_coords=np.zeros((1, 3)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two CIFs, a POSCAR, an extxyz of two, and four files that cannot be used."""
    root = tmp_path / "files"
    (root / "deep").mkdir(parents=True)
    write_cif(salt(), root / "salt.cif")
    write_cif(salt(), root / "deep" / "salt.cif")
    (root / "POSCAR_perovskite").write_text(to_poscar(perovskite()))
    write_extxyz(root / "two.extxyz", [diamond(), element(11, 3.7)])
    (root / "torn.cif").write_text("data_x\n_cell_length_a 3\n")
    (root / "other.parquet").write_bytes(b"PAR1 not at all")
    (root / "notes.txt").write_text("not a structure")
    cell = 'Lattice="5 0 0 0 5 0 0 0 0" Properties=species:S:1:pos:R:3 pbc="T T T"'
    (root / "flat.extxyz").write_text(f"1\n{cell}\nNa 0 0 0\n")
    return root


def plan_of(folder: Path, **changes: object) -> FilesPlan:
    out = folder.parent / "reference"
    values = {"paths": (folder,), "out": out, "work": out.with_name("work"), "source": SOURCE, **changes}
    return FilesPlan(**values)  # type: ignore[arg-type]


def lennard_jones(epsilon: float = 1.0) -> AseCalculator:
    return AseCalculator(
        factory="ase.calculators.lj:LennardJones",
        options={"sigma": 2.5, "epsilon": epsilon, "rc": 6.0},
        id=f"lj-{epsilon:g}",
        scheme="Lennard-Jones",
    )


def test_structures_of_a_folder(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    built = build_from_files(plan_of(folder), None, progress=lambda *what: told.append(what))
    reference = Reference.read(folder.parent / "reference")
    assert set(reference.ids) == {
        "salt.cif",
        "deep/salt.cif",
        "POSCAR_perovskite",
        "two.extxyz#0",
        "two.extxyz#1",
    }
    assert set(built.skipped) == {"torn.cif", str(folder / "other.parquet"), "flat.extxyz"}
    assert json.loads((reference.path / "skipped.json").read_text()) == built.skipped
    assert told[-1] == ("files", 7, 7)
    assert reference.hull is None and reference.hull_id == ""
    reference.prepare()
    assert (len(reference), reference.hull) == (5, None)
    nearest = nearest_of(reference.index, "NaCl", amd_of(salt().lattice, salt().frac_coords), 0.3)
    assert nearest is not None
    assert nearest.id in {"salt.cif", "deep/salt.cif"}
    assert nearest.distance < 1e-3
    kept = reference.index.rows("SrTiO3").crystal
    assert kept is not None
    np.testing.assert_allclose(kept(0).lattice, perovskite().lattice, atol=1e-6)
    np.testing.assert_allclose(kept(0).frac_coords % 1, perovskite().frac_coords, atol=1e-6)
    assert not (folder.parent / "work").exists()


def test_atoms_that_are_not_periodic_are_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    write_cif(salt(), files / "salt.cif")
    (files / "slab.extxyz").write_text(
        '1\nLattice="3 0 0 0 3 0 0 0 9" Properties=species:S:1:pos:R:3 pbc="T T F"\nNa 0 0 0\n'
    )
    command = ["reference", "build", str(files), "--out", str(tmp_path / "reference")]
    assert main(command) == 0
    assert Reference.read(tmp_path / "reference").ids == ("salt.cif",)
    skipped = json.loads((tmp_path / "reference" / "skipped.json").read_text())
    assert "--periodic" in skipped["slab.extxyz"]
    assert main([*command, "--overwrite", "--periodic"]) == 0
    assert set(Reference.read(tmp_path / "reference").ids) == {"salt.cif", "slab.extxyz"}
    assert "slab.extxyz" in json.loads((tmp_path / "reference" / "notes.json").read_text())


def test_a_stopped_build_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oracle_svc.known.build import sources as module

    monkeypatch.setattr(module, "_FILES_OF_A_UNIT", 2)
    plan = plan_of(folder)

    def stop(_task: str, done: int, _total: int) -> None:
        if done >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_from_files(plan, None, progress=stop)
    assert not plan.out.exists()
    units = {path: path.stat().st_mtime_ns for path in (plan.work / "files").iterdir()}
    assert 0 < len(units) < 4
    monkeypatch.setattr(module, "_read_unit", _counted(module._read_unit, read := []))
    build_from_files(plan, None)
    assert len(read) == 4 - len(units)
    assert len(Reference.read(plan.out)) == 5


def _counted(call, log):  # type: ignore[no-untyped-def]
    def counting(unit):  # type: ignore[no-untyped-def]
        log.append(unit)
        return call(unit)

    return counting


def test_nothing_to_read_and_a_folder_that_is_taken(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file or folder .*nowhere"):
        build_from_files(plan_of(folder, paths=(tmp_path / "nowhere",)), None)
    build_from_files(plan_of(folder), None)
    with pytest.raises(InvalidArgumentError, match="is a reference already"):
        build_from_files(plan_of(folder), None)
    build_from_files(plan_of(folder, overwrite=True, keep_structures=False), None)
    assert not Reference.read(folder.parent / "reference").index.has_structures
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="something else"):
        build_from_files(plan_of(folder, out=precious), None)


def test_energies_and_the_hull_that_follows(folder: Path, tmp_path: Path) -> None:
    elements = tmp_path / "elements.extxyz"
    write_extxyz(elements, [element(17, 3.6), element(11, 3.4)])
    calculator = lennard_jones()
    built = build_from_files(plan_of(folder, hull_extra=(elements,)), calculator)
    reference = Reference.read(folder.parent / "reference")
    assert reference.calculator_digest == calculator.settings_digest
    assert reference.hull is not None
    assert reference.hull.elements == {11, 14, 17}
    assert built.uncovered == {"O": 1, "Sr": 1, "Ti": 1}
    expected = calculator.evaluate(CrystalBatch.from_crystals([salt()])).energy_per_atom[0]
    assert reference.energies[reference.ids.index("salt.cif")] == pytest.approx(expected, rel=1e-4)
    # Its hull can be extended by its own calculator, and by no other.
    more = tmp_path / "more"
    more.mkdir()
    write_cif(element(19, 4.0), more / "k.cif")
    plan = plan_of(more, hull=reference.path, out=tmp_path / "larger")
    build_from_files(plan, calculator)
    larger = Reference.read(tmp_path / "larger")
    assert larger.hull is not None and larger.hull.elements == {11, 14, 17, 19}
    with pytest.raises(FailedPreconditionError, match=r"is of lj-1, scheme 'Lennard-Jones'.*lj-2, scheme"):
        build_from_files(plan_of(more, hull=reference.path, out=tmp_path / "mixed"), lennard_jones(2.0))
    theirs = DataSource(name="t", hull_name="t", licence="MIT", attribution="me")
    taken = plan_of(more, source=theirs, hull=reference.path, out=tmp_path / "taken")
    build_from_files(taken, None)
    copy = Reference.read(tmp_path / "taken")
    assert copy.hull is not None and copy.hull.elements == reference.hull.elements
    assert copy.licence == "MIT and CC0-1.0; me and nobody"
    assert (copy.ids, copy.calculator_digest) == (("k.cif",), calculator.settings_digest)


def test_fixed_point_keeps_structures_and_vectors_to_half_a_step(
    tmp_path: Path, known_crystals: CrystalBatch
) -> None:
    some = known_crystals[:30]
    write_crystals(tmp_path / "crystals.parquet", some)
    columns = CrystalColumns(tmp_path / "crystals.parquet")
    vectors = amd_vectors(some).vectors
    for row, crystal in enumerate(some):
        kept = columns.crystal(row)
        assert kept.numbers.tolist() == crystal.numbers.tolist()
        np.testing.assert_allclose(kept.lattice, crystal.lattice, atol=5.1e-7)
        np.testing.assert_allclose(amd_of(kept.lattice, kept.frac_coords), vectors[row], atol=2e-5)
    packed = AmdStore.pack(vectors)
    packed.save(tmp_path / "amd.npy")
    mapped = AmdStore.open(tmp_path / "amd.npy", packed.step)
    assert packed.step == STEP
    assert np.abs(mapped.vectors(slice(None)) - vectors).max() <= mapped.error + 1e-12
    exact = np.abs(vectors - vectors[3]).max(axis=1)
    assert np.abs(mapped.distances(vectors[3], np.arange(30)) - exact).max() <= mapped.error + 1e-5
    wide = AmdStore.pack(np.array([[1.0, 90.0]]))
    assert np.abs(wide.vectors(slice(None)) - [[1.0, 90.0]]).max() <= wide.error


def test_rounding_does_not_decide_at_the_tolerance(folder: Path) -> None:
    build_from_files(plan_of(folder), None)
    index = Reference.read(folder.parent / "reference").index
    vector = amd_of(salt().lattice * 1.01, salt().frac_coords)
    exact = float(np.abs(vector - amd_of(salt().lattice, salt().frac_coords)).max())
    stored = nearest_of(index, "NaCl", vector)
    judged = nearest_of(index, "NaCl", vector, exact + STEP / 4)
    assert stored is not None and judged is not None
    assert abs(stored.distance - exact) <= STEP / 2 + 1e-5
    assert judged.distance == pytest.approx(exact, abs=2e-5)


def test_a_mapped_reference_answers_as_one_in_a_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oracle_svc.known.reference import write as module

    build_from_files(plan_of(folder), None)
    monkeypatch.setattr(module, "_MAPPED_FROM", 2)
    build_from_files(plan_of(folder, out=folder.parent / "mapped"), None)
    table, mapped = (Reference.read(folder.parent / name) for name in ("reference", "mapped"))
    assert (mapped.path / "amd.npy").exists() and not (table.path / "amd.npy").exists()
    for formula in ("NaCl", "Si", "SrTiO3", "KCl"):
        assert table.rows(formula).ids == mapped.rows(formula).ids
        np.testing.assert_array_equal(table.rows(formula).amd, mapped.rows(formula).amd)


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = folder.parent / "by-command"
    listing = tmp_path / "built.json"
    assert main(["reference", "build", str(folder), "--out", str(out), "--json", str(listing)]) == 0
    told = capsys.readouterr().out
    assert "left out torn.cif" in told and "kept for StructureMatcher" in told
    assert len(json.loads(listing.read_text())["skipped"]) == 3
    assert main(["reference", "show", str(out), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["structures"]["count"] == 5
    assert main(["reference", "build", str(folder), "--out", str(out)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["reference", "import", "mp", "--out", str(tmp_path / "mp"), "--chemsys", "Na-Cl"]) == 1
    assert "--api-key-file" in capsys.readouterr().err
