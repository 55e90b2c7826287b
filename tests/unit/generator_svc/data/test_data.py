"""Crystals from every kind of source: the same crystals, or an error that says what to mend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Lattice, Structure

from generator_svc.data.columns import Columns
from generator_svc.data.load import DataSettings, load_crystals, read_crystals
from generator_svc.data.prepared import prepare
from generator_svc.data.table import DataError
from generator_svc.storage.run_settings import (
    AutoencoderRun,
    DenoiserRun,
    FinisherRun,
    PropertyRun,
    check_settings,
)
from tests.salts import write_salts
from tests.tiny_bundle import make_tiny_bundle
from xenolith.cli import main
from xenolith.convert import to_cif, write_cif, write_extxyz
from xenolith.convert.cif_listed import NotListedError, read_listed, read_one
from xenolith.convert.pymatgen_structure import from_pymatgen, to_pymatgen
from xenolith.crystal import Crystal
from xenolith.errors import ReadError
from xenolith.files import read_toml

RUTILE = Structure.from_spacegroup(
    136, Lattice.tetragonal(4.6, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
SALT = Structure.from_spacegroup(225, Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
KINDS: dict[str, Any] = {
    "autoencoder": AutoencoderRun,
    "decoder": AutoencoderRun,
    "finisher": FinisherRun,
    "property": PropertyRun,
}
CRYSTALS = [from_pymatgen(RUTILE), from_pymatgen(SALT)]


@pytest.fixture(autouse=True)
def _prepared_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XENOLITH_PREPARED", str(tmp_path / "prepared"))


def arrays(crystal: Crystal) -> dict[str, Any]:
    return {
        "cell": crystal.lattice.tolist(),
        "atomic_numbers": crystal.numbers.tolist(),
        "positions": (crystal.frac_coords @ crystal.lattice).tolist(),
    }


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def sources(folder: Path) -> dict[str, tuple[Path, Columns]]:
    """The two crystals in every way a user may have them."""
    cifs = folder / "cifs"
    cifs.mkdir()
    for name, crystal in zip("ab", CRYSTALS, strict=True):
        write_cif(crystal, cifs / f"{name}.cif", symprec=0.01)
    write_extxyz(folder / "both.extxyz", CRYSTALS, [{"id": "a", "gap": 1.5}, {"id": "b"}])
    texts = [{"id": name, "cif": to_cif(c)} for name, c in zip("ab", CRYSTALS, strict=True)]
    lists = [
        {
            "id": name,
            "lattice": json.dumps([*s.lattice.abc, *s.lattice.angles]),
            "species": str([site.specie.symbol for site in s]),
            "x": json.dumps(s.frac_coords.tolist()),
        }
        for name, s in zip("ab", (RUTILE, SALT), strict=True)
    ]
    for name, rows in (("texts", texts), ("lists", lists)):
        columns = list(rows[0])
        lines = [",".join(columns)]
        lines += [",".join('"' + row[c].replace('"', '""') + '"' for c in columns) for row in rows]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    as_json = [
        {"id": n, "s": json.dumps(to_pymatgen(c).as_dict())} for n, c in zip("ab", CRYSTALS, strict=True)
    ]
    cartesian = [{"id": n, **arrays(c)} for n, c in zip("ab", CRYSTALS, strict=True)]
    return {
        "cif folder": (cifs, Columns()),
        "extxyz": (folder / "both.extxyz", Columns()),
        "cif column": (folder / "texts.csv", Columns()),
        "lists in csv": (folder / "lists.csv", Columns(frac_coords="x")),
        "structure json": (parquet(folder / "json.parquet", as_json), Columns(structure="s")),
        "positions": (parquet(folder / "cartesian.parquet", cartesian), Columns()),
    }


def test_every_kind_of_source_gives_the_same_crystals(tmp_path: Path) -> None:
    for name, (path, columns) in sources(tmp_path).items():
        table = prepare(path, columns).table
        assert table.ids.tolist() == ["a", "b"], name
        assert table.num_atoms.tolist() == [6, 8], name
        volumes = np.abs(np.linalg.det(table.lattices))
        assert volumes == pytest.approx([RUTILE.volume, SALT.volume], rel=1e-5), name
        for row, expected in enumerate((RUTILE, SALT)):
            atoms = slice(table.offsets[row], table.offsets[row + 1])
            found = Structure(table.lattices[row], table.numbers[atoms], table.frac_coords[atoms])
            assert found.matches(expected, ltol=0.001, stol=0.001, angle_tol=0.1, scale=False), name


def test_labels_come_along(tmp_path: Path) -> None:
    table = read_crystals(sources(tmp_path)["extxyz"][0], scalars=["gap"])
    np.testing.assert_array_equal(table.scalars["gap"], np.float32([1.5, np.nan]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lattice": [4.0] * 5}, r"row 1, column 'lattice': holds 5 numbers; a cell has 6.*or 9"),
        ({"frac": [0.0] * 5}, r"row 1, column 'frac': holds 5 numbers, 'numbers' has 2 atoms.*on_error"),
        ({"frac": None}, r"row 1, column 'frac': holds 0 numbers"),
    ],
)
def test_a_row_that_does_not_fit_is_named_or_counted(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    rows = pq.read_table(write_salts(tmp_path / "salts.parquet")).to_pylist()
    path = parquet(tmp_path / "broken.parquet", [rows[0], {**rows[1], **change}, *rows[2:]])
    with pytest.raises(DataError, match=message):
        prepare(path)
    skipped = prepare(path, on_error="skip")
    assert (len(skipped.table), skipped.left_out.counts) == (7, {"unreadable": 1})
    assert skipped.table.ids.tolist() == [f"rock-salt-{i}" for i in (0, 2, 3, 4, 5, 6, 7)]
    assert skipped.table.scalars["gap"][-1] == np.float32(rows[7]["gap"])


def test_what_is_no_crystal_is_counted_by_reason(tmp_path: Path) -> None:
    good = {"lattice": [4.0, 4, 4, 90, 90, 90], "numbers": [11], "frac": [0.0, 0, 0]}
    rows = [
        good,
        {**good, "numbers": [0]},
        {**good, "numbers": [], "frac": []},
        {**good, "frac": [0.0, float("nan"), 0.0]},
        {**good, "lattice": [4.0, 4, 4, 10, 10, 150]},
        {**good, "lattice": [4.0, 4, 4, 90, 90, 0]},
        {**good, "numbers": [11] * 4, "frac": [0.0] * 12},
        {**good, "numbers": [103]},
    ]
    path = parquet(tmp_path / "odd.parquet", rows)
    prepared = prepare(path)
    assert prepared.left_out.counts == {
        "without atoms": 1,
        "with unknown elements": 1,
        "not finite": 1,
        "on flat cells": 2,
    }
    assert prepared.left_out.examples["with unknown elements"] == "1"
    assert len(read_crystals(path, max_atoms=3)) == 1
    with pytest.raises(DataError, match=r"no crystal is left of all.*1 of more than 0 atoms"):
        read_crystals(parquet(tmp_path / "one.parquet", [good]), max_atoms=0)


def test_disorder_is_counted_in_every_text(tmp_path: Path) -> None:
    alloy = Structure(Lattice.cubic(3.0), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    rows = [{"cif": alloy.to(fmt="cif")}, {"cif": to_cif(CRYSTALS[0])}]
    by_cif = prepare(parquet(tmp_path / "cif.parquet", rows))
    rows = [{"structure": json.dumps(alloy.as_dict())}, {"structure": json.dumps(RUTILE.as_dict())}]
    by_json = prepare(parquet(tmp_path / "json.parquet", rows))
    for prepared in (by_cif, by_json):
        assert (len(prepared.table), prepared.left_out.counts) == (1, {"disordered": 1})


def test_listed_cif_reads_as_pymatgen_does() -> None:
    parameters, numbers, frac = read_listed(to_cif(CRYSTALS[0]))
    assert parameters == pytest.approx([4.6, 4.6, 2.96, 90, 90, 90])
    assert numbers == CRYSTALS[0].numbers.tolist()
    np.testing.assert_allclose(np.reshape(frac, (-1, 3)), CRYSTALS[0].frac_coords, atol=1e-8)
    with pytest.raises(NotListedError):
        read_listed(to_cif(CRYSTALS[0], symprec=0.01))
    with pytest.raises(NotListedError):
        read_listed(to_cif(CRYSTALS[0]) * 2)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("_chemical_formula_sum   'Ti2 O4'", "_chemical_formula_sum   'Ti2 O3'"),
        ("_atom_site_occupancy", "_atom_site_attached_hydrogens"),
        ("  1\n", "  0\n"),
        ("  1\n", "  .\n"),
        ("_name_H-M   'P 1'", "_name_H-M   'F m -3 m'"),
    ],
)
def test_a_listed_cif_that_contradicts_itself_is_left_to_the_full_reader(written: str, instead: str) -> None:
    text = to_cif(CRYSTALS[0])
    assert written in text
    with pytest.raises(NotListedError):
        read_listed(instead.join(text.rsplit(written, 1)))


def test_what_is_not_listed_is_read_with_its_symmetry() -> None:
    cell, numbers, frac = read_one(to_cif(CRYSTALS[0], symprec=0.01))
    assert cell == pytest.approx([4.6, 4.6, 2.96, 90, 90, 90])
    assert sorted(numbers) == sorted(CRYSTALS[0].numbers.tolist())
    assert len(frac) == 3 * len(numbers)
    with pytest.raises(ReadError, match="holds 2 crystals"):
        read_one(to_cif(CRYSTALS[0]) * 2)


def test_an_unreadable_cif_is_named(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "cif.parquet", [{"cif": to_cif(CRYSTALS[0])}, {"cif": "data_nothing"}, {"cif": None}]
    )
    with pytest.raises(DataError, match=r"row 1, column 'cif': is no readable CIF"):
        prepare(path)
    assert prepare(path, on_error="skip").left_out.counts == {"unreadable": 2}


def test_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = write_salts(tmp_path / "salts.parquet")
    with pytest.raises(DataError, match=r"data\.columns\.lattice is 'latice'.*did you mean 'lattice'"):
        prepare(path, Columns(lattice="latice"))
    numbers = [{"lattice": 1.0, "numbers": [1], "frac": [0.0, 0.0, 0.0]}]
    with pytest.raises(DataError, match="'lattice' holds double, and should hold a list of numbers"):
        prepare(parquet(tmp_path / "numbers.parquet", numbers))


def test_parts_of_a_set(tmp_path: Path) -> None:
    salts = write_salts(tmp_path / "salts.parquet")
    assert len(load_crystals(DataSettings(path=salts))) == 4
    with pytest.raises(DataError, match="there is no part 'test'; there are train, val"):
        load_crystals(DataSettings(path=salts, validation_split="test"), "validation")
    plain = parquet(tmp_path / "plain.parquet", [{"cif": to_cif(CRYSTALS[i % 2])} for i in range(60)])
    with pytest.raises(DataError, match=r"data\.validation_fraction"):
        load_crystals(DataSettings(path=plain))
    settings = DataSettings(path=plain, validation_fraction=0.2)
    train, held_out = load_crystals(settings), load_crystals(settings, "validation")
    assert sorted([*train.ids, *held_out.ids]) == sorted(str(i) for i in range(60))
    assert 3 <= len(held_out) <= 25


def test_shards_are_one_set_and_their_names_are_parts(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    row = {"id": "a", **arrays(CRYSTALS[0])}
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        parquet(folder / f"{name}.parquet", [row])
    prepared = prepare(folder)
    assert prepared.splits.tolist() == ["train", "train", "val"]


def test_what_was_prepared_is_kept_until_the_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generator_svc.data.prepared._WORTH_KEEPING", 1)
    path = write_salts(tmp_path / "salts.parquet")
    first, again = prepare(path), prepare(path)
    (kept,) = (tmp_path / "prepared").iterdir()
    for name in ("ids", "num_atoms", "lattices", "numbers", "frac_coords"):
        np.testing.assert_array_equal(getattr(first.table, name), getattr(again.table, name))
    np.testing.assert_array_equal(first.table.scalars["gap"], again.table.scalars["gap"])
    assert (first.splits.tolist(), first.texts) == (again.splits.tolist(), again.texts)
    parquet(path, [{"id": "new", **arrays(CRYSTALS[0])}])
    assert prepare(path).table.ids.tolist() == ["new"]
    kept.unlink()
    monkeypatch.setenv("XENOLITH_PREPARED", "/proc/nowhere")
    assert len(prepare(path).table) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nowhere.parquet",
            "there is no file or folder nowhere.parquet; data sets known by name: mp-20, alex-mp-20",
        ),
        ("alex-mp-20", "run `xenolith data fetch alex-mp-20`"),
    ],
)
def test_a_source_that_is_not_there(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XENOLITH_DATA", raising=False)
    with pytest.raises(DataError, match=message):
        prepare(Path(name))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("not parquet")
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as a parquet file"):
        prepare(tmp_path / "a.parquet")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match="of no known kind"):
        prepare(tmp_path / "a.txt")
    (tmp_path / "b.extxyz").write_text("2\nno cell\nH 0 0 0\n")
    with pytest.raises(DataError, match=r"b\.extxyz, frame 0: has no cell"):
        prepare(tmp_path / "b.extxyz")


def test_a_damaged_frame_or_block_costs_itself_alone(tmp_path: Path) -> None:
    write_extxyz(tmp_path / "a.extxyz", CRYSTALS)
    frames = (tmp_path / "a.extxyz").read_text()
    (tmp_path / "a.extxyz").write_text(frames + "\n2\nno cell\nH 0 0 0\nH 0 0 1\n\n" + frames)
    with pytest.raises(DataError, match=r"a\.extxyz, frame 2: has no cell"):
        prepare(tmp_path / "a.extxyz")
    found = prepare(tmp_path / "a.extxyz", on_error="skip")
    assert found.table.ids.tolist() == ["a-0", "a-1", "a-3", "a-4"]
    assert found.left_out.counts == {"unreadable": 1}
    blocks = "\n".join(to_cif(crystal) for crystal in CRYSTALS)
    (tmp_path / "b.cif").write_text(f"{blocks}\ndata_torn\n_cell_length_a 3\nloop_\n_atom_site_label\n")
    found = prepare(tmp_path / "b.cif", on_error="skip")
    assert found.table.ids.tolist() == ["b-0", "b-1"]


def test_training_data_tells_what_was_assumed(tmp_path: Path) -> None:
    text = (
        to_cif(CRYSTALS[0])
        .replace("_symmetry_Int_Tables_number   1", "")
        .replace("  1  'x, y, z'", "  1  'x,y,z'")
    )
    cut = [line for line in text.splitlines() if not line.startswith("_symmetry_space_group_name")]
    start = next(i for i, line in enumerate(cut) if "_symmetry_equiv_pos_site_id" in line)
    (tmp_path / "p1.cif").write_text("\n".join(cut[: start - 1] + cut[start + 3 :]))
    noted = prepare(tmp_path / "p1.cif").noted
    assert list(noted.counts.values()) == [1] and "no symmetry is given" in str(noted)


def test_describe_says_what_is_there_and_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"cif": to_cif(CRYSTALS[i % 2]), "gap": float(i), "kind": "x"} for i in range(5)]
    alloy = Structure(Lattice.cubic(3.0), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    path = parquet(tmp_path / "set.parquet", [*rows, {"cif": alloy.to(fmt="cif"), "gap": None, "kind": "x"}])
    assert main(["data", "describe", str(path), "--max-atoms", "6", "--json", str(tmp_path / "d.json")]) == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "d.json").read_text())
    assert (found["crystals"], found["fit"]) == (6, 3)
    assert {reason: entry["count"] for reason, entry in found["left_out"].items()} == {
        "disordered": 1,
        "of more than 6 atoms": 2,
    }
    assert found["atom_counts"] == {"6": 3}
    assert found["elements"] == ["O", "Ti"]
    assert found["columns"]["gap"] == {
        "labelled": 3,
        "mean": 2.0,
        "std": pytest.approx(1.63, abs=0.01),
        "min": 0.0,
        "max": 4.0,
    }
    assert "left out: disordered" in said and "gap" in said
    config = tmp_path / "run.toml"
    config.write_text(f'[data]\npath = "{path}"\nmax_atom = 6\n')
    assert main(["data", "describe", str(config)]) == 1
    assert "did you mean max_atoms?" in capsys.readouterr().err


def test_the_prior_of_atom_counts_is_of_what_is_trained_on(tmp_path: Path) -> None:
    rows = [
        {"lattice": [4.0, 4, 4, 90, 90, 90], "numbers": [11] * n, "frac": np.linspace(0, 0.9, 3 * n).tolist()}
        for n in (1, 1, 2, 3, 5, 8)
    ]
    settings = DataSettings(path=parquet(tmp_path / "set.parquet", rows), split=None, max_atoms=3)
    bundle = make_tiny_bundle(tmp_path / "bundle", table=load_crystals(settings))
    assert bundle.manifest["atom_count_prior"] == {"1": 0.5, "2": 0.25, "3": 0.25}
    assert bundle.manifest["max_atoms"] == 3


def test_every_example_is_valid() -> None:
    examples = sorted((Path(__file__).resolve().parents[4] / "examples" / "pretrain").rglob("*.toml"))
    assert len(examples) >= 8
    for path in examples:
        kind = next((k for name, k in KINDS.items() if path.stem == name), DenoiserRun)
        run = check_settings(read_toml(path), kind, str(path))
        assert run.loop.batch_size % run.loop.pieces == 0
