"""``xenolith generate``: sample crystals and write them as they are made."""

import argparse
from pathlib import Path
from typing import Any

from xenolith.cli.generator.cleanup import add_cleanup, cleanup_settings
from xenolith.cli.generator.finishing import add_finishing
from xenolith.cli.output import add_json, console, write_json
from xenolith.cli.progress import Progress
from xenolith.cli.run_policies import policy_of_run
from xenolith.cli.services import add_service_arguments, services
from xenolith.client import Samples, condition
from xenolith.convert import write_cif, write_extxyz
from xenolith.errors import InvalidArgumentError
from xenolith.optional import require

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "generate",
        help="sample crystals",
        description="Sample crystals. Each is written once it is made, so an interrupt loses none.",
    )
    parser.add_argument("-n", type=int, default=16, help="how many (default: 16)")
    parser.add_argument(
        "--run",
        metavar="NAME[/STEP]",
        dest="policy",
        type=policy_of_run,
        help="sample with the policy that this run has chosen, or that of a step; default: the bundle's own",
    )
    parser.add_argument("--num-atoms", type=int, help="atoms in each cell; default: as in the training data")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same crystals (default: 0)")
    parser.add_argument("--steps", type=int, help="denoising steps")
    parser.add_argument("--eta", type=float, help="randomness of the sampler, 0 to 1")
    parser.add_argument(
        "--guidance", type=float, help="strength of the condition: 1 plain, 2 is a good start"
    )
    parser.add_argument(
        "--composition",
        metavar="SrTiO3",
        help="wanted composition, met exactly (bundles that have learnt it)",
    )
    parser.add_argument(
        "--system",
        metavar="Li-Fe-O",
        default="",
        help="wanted elements: no others (bundles that have learnt it)",
    )
    parser.add_argument(
        "--property",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="wanted property, such as band_gap=3.0; may be repeated (bundles that have learnt it)",
    )
    add_finishing(parser)
    add_cleanup(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("samples.extxyz"), help="extxyz file, or folder for CIF files"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file, or add to the folder")
    add_service_arguments(parser, "generator", "oracle", "trainer")
    add_json(parser, "one object per sample")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Sample and write."""
    out = console(given.json)
    as_cif = _is_folder(given.out)
    _prepare(given.out, as_cif=as_cif, force=given.force)
    written: list[dict[str, Any]] = []
    also = ("oracle",) if given.relax_steps else ()
    if given.policy:
        if bool(given.trainer) != bool(given.generator):
            raise InvalidArgumentError(
                "--run needs the trainer that keeps the run and the generator that it pushes to: give both"
                " --trainer and --generator, or neither"
            )
        also = (*also, "trainer")
    with services(given, "generator", out, also=also) as client, Progress(out) as progress:
        policy = "base"
        if given.policy:
            name, step = given.policy
            policy = client.trainer.publish_policy(name, step=step)
            out.print(f"sampling with policy {policy}")
        for part in client.generator.iter_samples(
            expected_policy_version=policy,
            n=given.n,
            num_atoms=given.num_atoms,
            conditions=_conditions(given),
            seed=given.seed,
            steps=given.steps,
            eta=given.eta,
            guidance_scale=given.guidance,
            finish_steps=given.finish_steps,
            finish_noise=given.finish_noise,
            **cleanup_settings(given),
        ):
            if not written and not as_cif:
                # What is there goes when the request was taken, and not before.
                given.out.unlink(missing_ok=True)
            written += _write(given.out, part, as_cif=as_cif)
            progress.update("samples", len(written), given.n)
    if not as_cif:
        _reorder(given.out, [entry["index"] for entry in written])
    write_json(given.json, sorted(written, key=lambda entry: entry["index"]))
    out.print(f"{len(written)} crystals in {given.out}")
    return 0


def _is_folder(target: Path) -> bool:
    """Whether CIF files are wanted: a name without suffix is a folder."""
    if target.suffix in {".extxyz", ".xyz"}:
        return False
    if target.suffix and not target.is_dir():
        raise InvalidArgumentError(f"--out {target}: name it .extxyz, or give a folder for CIF files")
    return True


def _reorder(target: Path, indices: list[int]) -> None:
    """Put the frames of a finished file, written as they came, into the order of their samples."""
    if indices == sorted(indices):
        return
    ase: Any = require("ase.io", "cli")
    frames = ase.read(target, index=":", format="extxyz")
    ordered = [frames[place] for place in sorted(range(len(indices)), key=indices.__getitem__)]
    temporary = target.with_name(f".{target.name}.tmp")
    ase.write(temporary, ordered, format="extxyz")
    temporary.replace(target)


def _prepare(target: Path, *, as_cif: bool, force: bool) -> None:
    if target.exists() and not force and (not as_cif or any(target.iterdir())):
        raise InvalidArgumentError(f"{target} exists; name another --out, or say --force")
    if as_cif:
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)


def _write(target: Path, part: Samples, *, as_cif: bool) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [
        {
            "index": int(index),
            "seed": int(seed),
            "formula": crystal.formula,
            "num_atoms": crystal.num_atoms,
            "policy_version": part.policy_version,
        }
        for index, seed, crystal in zip(part.indices, part.seeds, part.crystals, strict=True)
    ]
    if as_cif:
        for entry, crystal in zip(entries, part.crystals, strict=True):
            entry["file"] = str(target / f"{entry['index']:05d}_{entry['formula'] or 'unknown'}.cif")
            write_cif(crystal, entry["file"])
    else:
        # Seeds are beyond 64-bit signed integers, which readers take numbers for: as text they stay exact.
        write_extxyz(target, part.crystals, [{**e, "seed": f"s{e['seed']}"} for e in entries], append=True)
    return entries


def _conditions(given: argparse.Namespace) -> list[Any]:
    if not (given.composition or given.system or given.property):
        return []
    return [
        condition(
            composition=given.composition,
            chemical_system=given.system,
            properties=dict(_value(text) for text in given.property),
        )
    ]


def _value(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise InvalidArgumentError(f"--property {text!r} must be NAME=VALUE, such as band_gap=3.0") from None
