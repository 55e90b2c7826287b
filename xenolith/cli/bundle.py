"""``xenolith bundle``: what is in a bundle, whether it is sound, and making one."""

import argparse
from pathlib import Path
from typing import Any

from xenolith.bundle import DEFAULT_BUNDLE, MANIFEST, Bundle, bundle_folders, find_bundle, read_bundle
from xenolith.cli._output import add_json, console, table, write_json
from xenolith.cli._progress import Progress
from xenolith.cli._services import add_service_arguments, services
from xenolith.client.runs import evaluation_dict
from xenolith.convert._lazy import require
from xenolith.errors import DataLossError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "bundle", help="list, show, check and build bundles", description="Work on bundles."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the bundles that are found by name")
    add_json(listing, "the bundles")
    for name, what in (("show", "its card"), ("check", "whether its files are those of its manifest")):
        action = actions.add_parser(name, help=what)
        action.add_argument(
            "bundle", nargs="?", default=DEFAULT_BUNDLE, help=f"name or folder ({DEFAULT_BUNDLE})"
        )
        add_json(action, "the result")
    build = actions.add_parser("build", help="make a bundle from a finished training")
    build.add_argument("denoiser_run", type=Path, help="folder of `xenolith pretrain denoiser`")
    build.add_argument("--name", required=True, help="name of the bundle")
    build.add_argument(
        "--out", type=Path, default=Path("bundles"), help="where its folder goes (default: bundles)"
    )
    add_json(build, "the result")
    card = actions.add_parser("card", help="measure a bundle and write its card")
    card.add_argument("bundle", nargs="?", default=DEFAULT_BUNDLE, help=f"name or folder ({DEFAULT_BUNDLE})")
    card.add_argument("--data", type=Path, required=True, help="parquet file of crystals to reconstruct")
    card.add_argument("--split", default="test", help="its split (default: test)")
    card.add_argument("-n", type=int, default=1000, help="samples of the base model (default: 1000)")
    card.add_argument("--seed", type=int, default=0)
    card.add_argument("--trained-on", default="", help="what the card says of the training data")
    card.add_argument("--licence", default="", help="what the card says of the licence")
    add_service_arguments(card, "generator", "oracle", "trainer")
    card.set_defaults(json=None)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Do what was asked."""
    actions = {"list": _list, "show": _show, "check": _check, "build": _build, "card": _card}
    return actions[given.action](given)


def _list(given: argparse.Namespace) -> int:
    found: dict[str, Bundle] = {}
    for folder in bundle_folders():
        for path in sorted(folder.glob(f"*/{MANIFEST}")):
            found.setdefault(path.parent.name, read_bundle(path.parent))
    write_json(given.json, [_summary(bundle) for bundle in found.values()])
    if given.json != "-":
        rows = [
            (b.name, str(b.manifest.get("max_atoms", "-")), b.digest[:12], str(b.path))
            for b in found.values()
        ]
        console().print(table("", ["bundle", "max. atoms", "digest", "folder"], rows))
    return 0


def _show(given: argparse.Namespace) -> int:
    bundle = find_bundle(given.bundle)
    write_json(given.json, {**_summary(bundle), "card": bundle.card})
    if given.json != "-":
        rows = [*_summary(bundle).items(), *_flat(bundle.card)]
        console().print(table(f"bundle {bundle.name}", ["", "value"], [(k, str(v)) for k, v in rows]))
    return 0


def _check(given: argparse.Namespace) -> int:
    bundle = find_bundle(given.bundle)
    problems = bundle.problems()
    write_json(given.json, {**_summary(bundle), "problems": problems})
    if problems:
        raise DataLossError("; ".join(problems))
    console(given.json).print(f"{bundle.path}: all files are those of its manifest; digest {bundle.digest}")
    return 0


def _build(given: argparse.Namespace) -> int:
    maker: Any = require("generator_svc.bundle", "generator")
    bundle: Bundle = maker.build_bundle(given.denoiser_run, given.out / given.name, given.name)
    write_json(given.json, _summary(bundle))
    console(given.json).print(f"{bundle.path}: digest {bundle.digest}")
    return 0


def _card(given: argparse.Namespace) -> int:
    maker: Any = require("generator_svc.card", "generator")
    out, bundle = console(), find_bundle(given.bundle)
    words: dict[str, Any] = {key: bundle.card[key] for key in ("data", "licence") if key in bundle.card}
    words |= {key: text for key, text in (("data", given.trained_on), ("licence", given.licence)) if text}
    with Progress(out) as progress:
        progress.update("reconstruct", 0, None)
        autoencoder = maker.autoencoder_figures(bundle, given.data, given.split)
    # The services started for this must load the bundle, and would refuse the card of an older one.
    maker.write_card(bundle, words | {"autoencoder": autoencoder})
    given.bundle, sampler = str(bundle.path), bundle.manifest["sampler"]
    with services(given, "trainer", out) as client, Progress(out) as progress:
        evaluation = client.trainer.evaluate(
            "",
            n=given.n,
            seed=given.seed,
            settings={"sampler": {key: sampler[key] for key in ("steps", "eta")}},
            on_progress=lambda stage, done, total: progress.update(stage, done, total or None),
        )
    base = {**evaluation_dict(evaluation), "sampler": sampler, "seed": given.seed}
    maker.write_card(bundle, words | {"autoencoder": autoencoder, "base": base})
    out.print(table(f"card of {bundle.name}", ["", "value"], [(k, str(v)) for k, v in _flat(bundle.card)]))
    return 0


def _summary(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "digest": bundle.digest,
        "max_atoms": bundle.manifest.get("max_atoms"),
        "folder": str(bundle.path),
    }


def _flat(card: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in card.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return rows
