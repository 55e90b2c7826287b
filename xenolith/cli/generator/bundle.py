"""``xenolith bundle``: what is in a bundle, whether it is sound, and making one."""

import argparse
from pathlib import Path
from typing import Any

from xenolith.bundle import DEFAULT_BUNDLE, MANIFEST, Bundle, bundle_folders, find_bundle, read_bundle
from xenolith.cli.generator.card import Comparison, compare, distributions, reconstruction, sampling
from xenolith.cli.output import add_json, console, table, write_json
from xenolith.cli.run_policies import policy_of_run
from xenolith.cli.services import add_service_arguments
from xenolith.errors import DataLossError, FailedPreconditionError, InvalidArgumentError
from xenolith.optional import require

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "bundle", help="list, show, check and build bundles", description="Work on bundles."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the bundles that are found by name")
    add_json(listing, "the bundles")
    show = actions.add_parser("show", help="its card")
    _add_bundle(show)
    add_json(show, "the result")
    verify = actions.add_parser("verify", help="whether its files, and with --deep its figures, are true")
    _add_bundle(verify)
    add_json(verify, "the result")
    verify.add_argument("--deep", action="store_true", help="measure the card's figures again and compare")
    _add_measuring(verify)
    build = actions.add_parser("build", help="make a bundle from a finished training, or with a run's policy")
    build.add_argument(
        "denoiser_run", nargs="?", type=Path, help="folder of `xenolith pretrain denoiser`, unless --from-run"
    )
    build.add_argument(
        "--from-run",
        metavar="NAME[/STEP]",
        type=policy_of_run,
        help="a run's bundle with its policy, the chosen one or that of a step, in place of its denoiser",
    )
    build.add_argument("--bundle", default=DEFAULT_BUNDLE, help=f"bundle of that run ({DEFAULT_BUNDLE})")
    build.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    build.add_argument("--name", required=True, help="name of the bundle")
    build.add_argument(
        "--out", type=Path, default=Path("bundles"), help="where its folder goes (default: bundles)"
    )
    build.add_argument(
        "--storage",
        choices=("float32", "float16", "int8"),
        help="of the denoiser's matrices (default: float16; with --from-run float32: the same samples)",
    )
    build.add_argument(
        "--autoencoder", type=Path, help="another run with the same encoder, whose decoder is better"
    )
    add_json(build, "the result")
    add = actions.add_parser("add-predictor", help="let a property predictor come with a bundle")
    _add_bundle(add, optional=False)
    add.add_argument("trained", type=Path, help="folder of `xenolith pretrain property`")
    add.add_argument("--name", help="its name in the bundle (default: its column)")
    add_json(add, "the result")
    finisher = actions.add_parser("add-finisher", help="let a finisher come with a bundle, whose card goes")
    _add_bundle(finisher, optional=False)
    finisher.add_argument("trained", type=Path, help="folder of `xenolith pretrain finisher`")
    finisher.add_argument("--steps", type=int, default=16, help="evaluations by default (default: 16)")
    finisher.add_argument(
        "--noise", type=float, default=0.8, help="noise taken off by default, Angstrom (default: 0.8)"
    )
    finisher.add_argument("--storage", choices=("float16", "int8"), default="float16", help="of its matrices")
    add_json(finisher, "the result")
    card = actions.add_parser("card", help="measure a bundle and write its card")
    _add_bundle(card)
    card.add_argument("-n", type=int, default=2000, help="samples of the base model (default: 2000)")
    card.add_argument("--seed", type=int, default=0)
    card.add_argument("--relax", action="store_true", help="relax the samples too; takes much longer")
    card.add_argument("--trained-on", default="", help="what the card says of the training data")
    card.add_argument("--licence", default="", help="what the card says of the licence")
    _add_measuring(card)
    card.set_defaults(json=None)
    parser.set_defaults(run=run)


def _add_bundle(parser: Any, *, optional: bool = True) -> None:
    if optional:
        parser.add_argument(
            "bundle", nargs="?", default=DEFAULT_BUNDLE, help=f"name or folder ({DEFAULT_BUNDLE})"
        )
    else:
        parser.add_argument("bundle", help="name or folder")


def _add_measuring(parser: Any) -> None:
    parser.add_argument("--data", type=Path, help="parquet file of crystals to reconstruct")
    parser.add_argument("--split", default="test", help="its split (default: test)")
    add_service_arguments(parser, "generator", "oracle", "trainer")


def run(given: argparse.Namespace) -> int:
    """Do what was asked."""
    actions = {
        "list": _list,
        "show": _show,
        "verify": _verify,
        "build": _build,
        "add-finisher": _add_finisher,
        "add-predictor": _add_predictor,
        "card": _card,
    }
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
    predictors = {name: _reached(about) for name, about in bundle.predictors.items()}
    write_json(given.json, {**_summary(bundle), "card": bundle.card, "predictors": predictors})
    if given.json != "-":
        rows = {**_summary(bundle), **dict(_flat(bundle.card)), **dict(_flat(predictors, "predictors."))}
        console().print(
            table(f"bundle {bundle.name}", ["", "value"], [(k, _shown(v)) for k, v in rows.items()])
        )
    return 0


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"[{', '.join(_shown(v) for v in value)}]" if isinstance(value, list) else str(value)


def _verify(given: argparse.Namespace) -> int:
    out, bundle = console(given.json), find_bundle(given.bundle)
    problems = bundle.problems()
    compared: list[Comparison] = []
    if given.deep and not problems:
        card = bundle.card
        if "autoencoder" not in card or "base" not in card:
            raise FailedPreconditionError(
                f"{bundle.path} has no measured card to compare with: xenolith bundle card {bundle.name}"
            )
        given.n, given.seed = int(card["base"]["n"]), int(card["base"].get("seed", 0))
        given.relax = "relaxed" in card["base"]
        figures = {"autoencoder": reconstruction(given, bundle, out), "base": sampling(given, bundle, out)}
        if "distributions" in card:
            figures["distributions"] = distributions(given, bundle, out)
        compared = compare(card, figures)
        problems = [entry.sentence for entry in compared if not entry.agrees]
    result = {**_summary(bundle), "problems": problems, "figures": [entry.to_dict() for entry in compared]}
    write_json(given.json, result)
    if compared:
        out.print(table("", ["figure", "card", "measured", ""], [entry.row for entry in compared]))
    if problems:
        raise DataLossError("; ".join(problems))
    said = "; the card's figures hold" if compared else ""
    out.print(f"{bundle.path}: all files are those of its manifest; digest {bundle.digest}{said}")
    return 0


def _build(given: argparse.Namespace) -> int:
    if bool(given.denoiser_run) == bool(given.from_run):
        raise InvalidArgumentError(
            "bundle build takes the folder of a training or --from-run: give one of them"
        )
    if given.from_run:
        bundle = _with_policy(given)
    else:
        maker: Any = require("generator_svc.storage.bundle", "generator")
        bundle = maker.build_bundle(
            given.denoiser_run,
            given.out / given.name,
            given.name,
            storage=given.storage or "float16",
            autoencoder_run=given.autoencoder,
        )
    write_json(given.json, _summary(bundle))
    console(given.json).print(f"{bundle.path}: digest {bundle.digest}")
    return 0


def _with_policy(given: argparse.Namespace) -> Bundle:
    if given.autoencoder:
        raise InvalidArgumentError("--autoencoder goes with a training, not with --from-run")
    reader: Any = require("trainer_svc.training.earlier_runs", "trainer")
    maker: Any = require("generator_svc.storage.tuned", "generator")
    source = find_bundle(given.bundle)
    name, step = given.from_run
    wanted = name if step is None else f"{name}/{step}"
    step, weights = reader.policy_of_run(given.runs, wanted, source.digest)
    bundle: Bundle = maker.bundle_with_policy(
        source,
        weights,
        given.out / given.name,
        given.name,
        origin={"bundle": source.name, "bundle_digest": source.digest, "run": name, "step": step},
        storage=given.storage or "float32",
    )
    return bundle


def _add_finisher(given: argparse.Namespace) -> int:
    maker: Any = require("generator_svc.storage.bundle", "generator")
    bundle: Bundle = maker.add_finisher(
        find_bundle(given.bundle), given.trained, steps=given.steps, noise=given.noise, storage=given.storage
    )
    write_json(given.json, _summary(bundle))
    console(given.json).print(f"{bundle.path}: digest {bundle.digest}; `xenolith bundle card` measures it")
    return 0


def _add_predictor(given: argparse.Namespace) -> int:
    loader: Any = require("generator_svc.storage.bundle", "generator")
    keeper: Any = require("generator_svc.predictor.trained", "generator")
    bundle = find_bundle(given.bundle)
    keeper.add_predictor(loader.load_bundle(bundle), given.trained, given.name)
    predictors = {name: _reached(about) for name, about in bundle.predictors.items()}
    write_json(given.json, {**_summary(bundle), "predictors": predictors})
    console(given.json).print(f"{bundle.path}: predicts {', '.join(predictors)}")
    return 0


def _reached(about: dict[str, Any]) -> dict[str, Any]:
    return {"column": about["column"], "unit": about["unit"], **about["figures"]}


def _card(given: argparse.Namespace) -> int:
    maker: Any = require("generator_svc.card", "generator")
    out, bundle = console(), find_bundle(given.bundle)
    if not (given.reference or given.oracle or given.trainer):
        _ = bundle.reference  # refuses before anything is measured
    words: dict[str, Any] = {key: bundle.card[key] for key in ("data", "licence") if key in bundle.card}
    words |= {key: text for key, text in (("data", given.trained_on), ("licence", given.licence)) if text}
    card = words | {"autoencoder": reconstruction(given, bundle, out)}
    card |= {"distributions": distributions(given, bundle, out)}
    # The services started for this must load the bundle, and would refuse the card of an older one.
    maker.write_card(bundle, card)
    maker.write_card(bundle, card | {"base": sampling(given, bundle, out)})
    out.print(table(f"card of {bundle.name}", ["", "value"], [(k, _shown(v)) for k, v in _flat(bundle.card)]))
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
