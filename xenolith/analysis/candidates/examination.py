"""Examines structures for follow-up: from thousands as given to a few dozen relaxed and judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xenolith.analysis.audit_comparison import UNBELIEVABLE_BELOW
from xenolith.analysis.candidates.criteria import Criteria
from xenolith.analysis.candidates.examined import Comparison, Examined
from xenolith.analysis.candidates.prototype import prototype_of
from xenolith.analysis.pieces import score_in_pieces
from xenolith.contract.components import DEFAULT_COMPONENT_NAMES
from xenolith.convert import Item
from xenolith.elements import SYMBOLS

if TYPE_CHECKING:
    from xenolith.client import Client, Score, Scores
    from xenolith.client.results import Provenance
    from xenolith.v1 import oracle_pb2

__all__ = ["Examination", "examine"]

_RELAXED_AT_ONCE = 8
"""Structures of a call that relaxes: few, so that progress is seen and no call outlives its deadline."""
_KNOWN_PREFIX = "known:"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Fate of every structure given."""

    examined: tuple[Examined, ...]
    """Those that were relaxed, and are valid, new and one of a kind as far as is known without judging."""
    rejected: Mapping[str, str]
    """Why each of the others was left out, by its source."""
    provenance: Provenance
    """What measured."""
    warnings: tuple[str, ...]
    """What the user should know."""


def examine(
    client: Client,
    items: Sequence[Item],
    criteria: Criteria,
    *,
    known: Sequence[Item] = (),
    progress: Progress = lambda _stage, _done, _of: None,
) -> Examination:
    """Measure structures as given, relax the most promising, and have every judge at hand see the result.

    Parameters
    ----------
    client
        Of an oracle.
    items
        The structures.
    criteria
        What is left out before it costs anything, and how many are relaxed.
    known
        Crystals that count as known beside the oracle's references.
    progress
        Told the stage, and how many of how many structures are done.

    Raises
    ------
    XenolithError
        A call as a whole fails, or one of `known` cannot be read.
    """
    can = client.oracle.describe()
    rejected: dict[str, str] = {}
    affordable = [item for item in items if not _noted(rejected, item.source, _unfit(item, criteria))]
    done = 0

    def on_piece(stage: str, of: int) -> Callable[[Sequence[Score]], None]:
        def tell(scores: Sequence[Score]) -> None:
            nonlocal done
            done += len(scores)
            progress(stage, done, of)

        return tell

    told = on_piece("measured", len(affordable))
    given = score_in_pieces(client, affordable, components=DEFAULT_COMPONENT_NAMES, on_piece=told)
    warnings = list(given.warnings)
    promising = [
        (item, score)
        for item, score in zip(affordable, given.scores, strict=True)
        if not _noted(rejected, item.source, _unpromising(score, criteria))
    ]
    promising.sort(key=lambda pair: _energy(pair[1]))
    for item, score in promising[criteria.pool :]:
        rejected[item.source] = (
            f"not relaxed: {criteria.pool} structures lie lower as given ({_energy(score):.3f} eV/atom)"
        )
    pool = promising[: criteria.pool]
    done = 0
    relaxed = score_in_pieces(
        client,
        [item for item, _ in pool],
        components=("stability",),
        settings={"relax": {"return_crystals": True}},
        piece=_RELAXED_AT_ONCE,
        on_piece=on_piece("relaxed", len(pool)),
    )
    stood = []
    for (item, score), after in zip(pool, relaxed.scores, strict=True):
        whole = replace(score, relaxation=after.relaxation)
        if not _noted(rejected, item.source, _unrelaxed(whole)):
            stood.append((item, whole))
    crystals = [
        Item(source=item.source, crystal=score.relaxation.crystal)
        for item, score in stood
        if score.relaxation is not None
    ]
    judged = _judged(client, crystals, bool(can.audit_calculators))
    comparisons, more = _compared(client, can, crystals, known)
    warnings += [*relaxed.warnings, *judged.warnings, *more]
    examined = []
    for (item, whole), after, beside in zip(stood, judged.scores, comparisons, strict=True):
        if after.crystal is None or _noted(rejected, item.source, _untenable(after, beside)):
            continue
        group, prototype = prototype_of(after.crystal)
        examined.append(
            Examined(
                source=item.source,
                labels=dict(item.labels),
                crystal=after.crystal,
                given=whole,
                relaxed=after,
                comparisons=beside,
                space_group=group,
                prototype=prototype,
            )
        )
    return Examination(
        examined=tuple(examined),
        rejected=rejected,
        provenance=(judged if crystals else given).provenance,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _noted(rejected: dict[str, str], source: str, reason: str) -> bool:
    if reason:
        rejected[source] = reason
    return bool(reason)


def _unfit(item: Item, criteria: Criteria) -> str:
    """Why a structure is left out unmeasured; empty if it is not."""
    if item.problem is not None or item.crystal is None:
        return f"cannot be read: {item.problem}"
    bad = sorted(set(item.crystal.numbers.tolist()) & criteria.avoid)
    if bad:
        return f"holds {', '.join(SYMBOLS[number] for number in bad)}"
    if item.crystal.num_atoms > criteria.most_atoms:
        return f"{item.crystal.num_atoms} atoms, more than {criteria.most_atoms}"
    return ""


def _unpromising(score: Score, criteria: Criteria) -> str:
    """Why a structure is not relaxed; empty if nothing speaks against it."""
    if not score.valid:
        return f"not valid: {score.message or score.status}"
    if criteria.balanced and score.charge_neutral is False:
        return "common oxidation states cannot balance"
    if score.e_above_hull is None:
        return f"no energy above a hull: {score.message or score.status}"
    if score.e_above_hull < UNBELIEVABLE_BELOW:
        return f"{score.e_above_hull:.3f} eV/atom above the hull as given: not to be believed"
    if score.novel is False:
        return f"known: {score.nearest_reference}"
    if score.unique is False:
        return "the same as another one given"
    return ""


def _unrelaxed(score: Score) -> str:
    after = score.relaxation
    if after is None or after.crystal is None:
        return f"could not be relaxed: {after.message or after.status if after else score.message}"
    return "" if after.converged else f"the relaxation did not converge in {after.steps} steps"


def _untenable(score: Score, comparisons: Sequence[Comparison]) -> str:
    """Why a relaxed structure is out, before judges are compared; empty if it is not."""
    if not score.valid or score.e_above_hull is None:
        return f"not valid once relaxed: {score.message or score.status}"
    for beside in comparisons:
        if beside.novel_by_amd is False:
            return f"known once relaxed, by AMD: {beside.nearest} of {beside.reference}"
        if beside.novel_by_matcher is False:
            return f"known once relaxed, by StructureMatcher: {beside.nearest} of {beside.reference}"
    return "the same as another one once relaxed" if score.unique is False else ""


def _energy(score: Score) -> float:
    return math.inf if score.e_above_hull is None else score.e_above_hull


def _judged(client: Client, crystals: Sequence[Item], audit: bool) -> Scores:
    """Scores of relaxed structures as if they had been given, second opinions among them."""
    components = (*DEFAULT_COMPONENT_NAMES, "audit") if audit else DEFAULT_COMPONENT_NAMES
    return score_in_pieces(client, crystals, components=components)


def _compared(
    client: Client,
    can: oracle_pb2.OracleServiceDescribeResponse,
    crystals: Sequence[Item],
    known: Sequence[Item],
) -> tuple[list[tuple[Comparison, ...]], list[str]]:
    """Compare structures with every reference of the oracle, and with the user's own crystals."""
    warnings = []
    found: list[list[Comparison]] = [[] for _ in crystals]
    sources = [item.source for item in known]
    for place, reference in enumerate(can.references if crystals else ()):
        # The user's own go with the first reference, so that each is compared once.
        own = list(known) if place == 0 and known else None
        settings: dict[str, Any] = {"reference_id": reference.id}
        by_amd = client.oracle.score(list(crystals), components=("novelty",), settings=settings, known=own)
        matcher = {"sameness": {"metric": "SAMENESS_METRIC_STRUCTURE_MATCHER"}}
        by_matcher: Sequence[Score | None] = [None] * len(crystals)
        if reference.has_structures:
            by_matcher = client.oracle.score(
                list(crystals), components=("novelty",), settings=settings | matcher, known=own
            )
        else:
            warnings.append(f"{reference.id} keeps no structures: compared by AMD alone")
        for row, (amd, match) in enumerate(zip(by_amd, by_matcher, strict=True)):
            known_one = match if match is not None and match.novel is False else amd
            found[row].append(
                Comparison(
                    reference=reference.id,
                    nearest=_named(known_one.nearest_reference or "", sources),
                    amd_distance=amd.amd_distance,
                    novel_by_amd=amd.novel,
                    novel_by_matcher=None if match is None else match.novel,
                )
            )
    if known and not can.references:
        warnings.append("the oracle has no reference: structures of --known were not compared with")
    return [tuple(members) for members in found], warnings


def _named(nearest: str, sources: Sequence[str]) -> str:
    """The file of a crystal that the oracle knows by its place in the request."""
    place = nearest.removeprefix(_KNOWN_PREFIX)
    return sources[int(place)] if place != nearest and place.isdigit() else nearest
