"""A small real oracle: CHGNet, and a reference built of some tens of known crystals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.cache import open_cache
from oracle_svc.calculators import open_calculator
from oracle_svc.crystals.amd import amd_vectors
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.hull import HullEntry, composition_of, reduce_to_vertices
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.known.reference.folder import Reference
from oracle_svc.known.reference.structures import StructureTable
from oracle_svc.known.reference.write import DataSource, Known, write_reference
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_pool import CalculatorPool
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.elements import SYMBOLS

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
Z = {symbol: number for number, symbol in enumerate(SYMBOLS)}


def cubic(a: float, symbols: list[str], frac: np.ndarray | list[list[float]]) -> Crystal:
    return Crystal(
        lattice=np.eye(3) * a, numbers=[Z[symbol] for symbol in symbols], frac_coords=np.array(frac)
    )


def rocksalt(cation: str, anion: str, a: float) -> Crystal:
    return cubic(a, [cation] * 4 + [anion] * 4, np.concatenate([FCC, FCC + 0.5]))


def zincblende(cation: str, anion: str, a: float) -> Crystal:
    return cubic(a, [cation] * 4 + [anion] * 4, np.concatenate([FCC, FCC + 0.25]))


def perovskite(big: str, small: str, a: float) -> Crystal:
    frac = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return cubic(a, [big, small, "O", "O", "O"], frac)


def fluorite(cation: str, anion: str, a: float) -> Crystal:
    return cubic(a, [cation] * 4 + [anion] * 8, np.concatenate([FCC, FCC + 0.25, FCC - 0.25]))


def known_crystals() -> dict[str, Crystal]:
    metals = {
        "Na": 5.3, "K": 6.7, "Li": 4.3, "Mg": 4.5, "Ca": 5.6, "Sr": 6.0, "Ba": 6.4, "Ti": 4.1, "Al": 4.05,
        "Cu": 3.61, "Ag": 4.09, "Au": 4.08, "Ni": 3.52, "Zn": 3.9, "Ga": 4.3, "Cl": 5.2, "F": 4.2, "O": 4.0,
        "S": 5.0, "As": 4.8, "Br": 5.6,
    }  # fmt: skip
    crystals = {f"{symbol}-fcc": cubic(a, [symbol] * 4, FCC) for symbol, a in metals.items()}
    for symbol, a in {"Si": 5.43, "C": 3.57, "Ge": 5.66}.items():
        crystals[f"{symbol}-diamond"] = cubic(a, [symbol] * 8, np.concatenate([FCC, FCC + 0.25]))
    salts = [("Na", "Cl", 5.64), ("K", "Cl", 6.29), ("Li", "F", 4.03), ("Na", "F", 4.63), ("K", "Br", 6.6),
             ("Mg", "O", 4.21), ("Ca", "O", 4.81), ("Sr", "O", 5.16), ("Ba", "O", 5.54)]  # fmt: skip
    crystals |= {f"{a}{b}-rocksalt": rocksalt(a, b, size) for a, b, size in salts}
    crystals |= {
        "ZnS-zincblende": zincblende("Zn", "S", 5.41),
        "GaAs-zincblende": zincblende("Ga", "As", 5.65),
    }
    crystals |= {
        f"{big}TiO3": perovskite(big, "Ti", a) for big, a in {"Sr": 3.9, "Ba": 4.0, "Ca": 3.85}.items()
    }
    return crystals | {"CaF2": fluorite("Ca", "F", 5.46), "BaF2": fluorite("Ba", "F", 6.2)}


@pytest.fixture(scope="session")
def crystals() -> dict[str, Crystal]:
    """Every known crystal by id, NaCl as `NaCl-rocksalt`."""
    return known_crystals()


@pytest.fixture(scope="session")
def reference_dir(tmp_path_factory: pytest.TempPathFactory, crystals: dict[str, Crystal]) -> Path:
    """A reference of these crystals, measured by CHGNet."""
    calculator = open_calculator("chgnet")
    batch = CrystalBatch.from_crystals(crystals.values())
    measured = calculator.evaluate(batch)
    assert measured.embeddings is not None
    entries = [
        HullEntry(id=name, composition=composition_of(crystal.numbers), energy_per_atom=float(energy))
        for (name, crystal), energy in zip(crystals.items(), measured.energy_per_atom, strict=True)
    ]
    folder = tmp_path_factory.mktemp("reference")
    write_reference(
        folder,
        known=Known(
            table=StructureTable(ids=tuple(crystals), batch=batch),
            amd=amd_vectors(batch).vectors,
            energy_per_atom=measured.energy_per_atom,
            embeddings=measured.embeddings,
        ),
        vertices=reduce_to_vertices(entries),
        num_entries=len(entries),
        calculator=calculator,
        source=DataSource(name="textbook", hull_name="textbook", licence="CC0-1.0", attribution="nobody"),
        settings={"amd_tolerance": 0.05},
    )
    return folder


@pytest.fixture(scope="session")
def reference(reference_dir: Path) -> Reference:
    return Reference.read(reference_dir)


@pytest.fixture(scope="session")
def calculators() -> Iterator[CalculatorPool]:
    """CHGNet in two worker processes."""
    pool = CalculatorPool(workers=2, atoms_per_batch=64, structure_limit_s=60.0)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def matcher() -> Iterator[PairMatcher]:
    pairs = PairMatcher(workers=1, pair_limit_s=5.0)
    yield pairs
    pairs.close()


@pytest.fixture
def make_scorer(
    calculators: CalculatorPool, reference: Reference, matcher: PairMatcher
) -> Iterator[Callable[..., Scorer]]:
    """Make an oracle around a cache of its own; it shares calculators and reference."""
    caches = []

    def make(url: str = "sqlite:///:memory:", *, references: Sequence[Reference] = (reference,)) -> Scorer:
        cache = open_cache(url)
        caches.append(cache)
        return Scorer(
            Resources(
                calculators=calculators,
                references=references,
                cache=cache,
                limits=ValidityLimits(max_atoms=200),
                matcher=matcher,
            )
        )

    yield make
    for cache in caches:
        cache.close()


@pytest.fixture(scope="session")
def redescribe() -> Callable[[Crystal, np.random.Generator], Crystal]:
    """The same crystal rotated, shifted, relabelled and as a supercell."""

    def make(crystal: Crystal, rng: np.random.Generator) -> Crystal:
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        repeats = rng.permutation([1, 1, 2])
        cells = np.array(list(np.ndindex(*repeats)))
        frac = (((crystal.frac_coords + rng.random(3))[:, None] + cells[None]) / repeats).reshape(-1, 3)
        numbers = np.repeat(crystal.numbers, len(cells))
        order = rng.permutation(len(numbers))
        lattice = crystal.lattice * repeats[:, None] @ (turn * np.sign(np.linalg.det(turn)))
        return Crystal(lattice=lattice, numbers=numbers[order], frac_coords=frac[order] % 1.0)

    return make
