"""Scoring in pieces: values of single structures come as they are made, comparisons at the end."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xenolith.client import Client, Score, Scores
from xenolith.client.results.score_messages import renumbered
from xenolith.contract.columns import fields_of
from xenolith.contract.components import COMPARING_COMPONENTS
from xenolith.contract.names import component_number
from xenolith.convert import Item, as_items

__all__ = ["PIECE", "score_in_pieces"]

PIECE = 64
"""Structures of a call: large enough for the oracle's batches, small enough to show progress."""


def score_in_pieces(
    client: Client,
    crystals: Any,
    *,
    components: Iterable[str],
    settings: Mapping[str, Any] | None = None,
    piece: int = PIECE,
    on_piece: Callable[[Sequence[Score]], None] = lambda _scores: None,
) -> Scores:
    """Score any number of structures.

    Parameters
    ----------
    client
        Of an oracle.
    crystals
        As for ``client.oracle.score``.
    components, settings
        As for ``client.oracle.score``. Uniqueness, diversity and graded metrics compare the structures:
        they are measured in one call over all of them, once everything else is done.
    piece
        Structures of a call.
    on_piece
        Called with the scores of each finished piece, in order, so that an interrupt loses nothing.

    Returns
    -------
    Scores
        One per structure. Where there are more structures than the oracle takes in one call, those
        components are left out and a warning says so.

    Raises
    ------
    XenolithError
        If a call as a whole fails.
    """
    items, wanted = as_items(crystals), tuple(components)
    compared = tuple(name for name in wanted if component_number(name) in COMPARING_COMPONENTS)
    single = tuple(name for name in wanted if name not in compared) or ("validity",)
    limit = client.oracle.describe().max_batch
    piece = min(piece, limit)
    parts: list[Scores] = []
    for start in range(0, len(items), piece):
        digest = parts[0].provenance.settings_digest if parts else ""
        part = client.oracle.score(
            items[start : start + piece],
            components=single,
            settings=settings,
            expected_settings_digest=digest,
        )
        parts.append(_counted_from(part, start))
        on_piece(parts[-1].scores)
    if not parts:
        return client.oracle.score([], components=wanted, settings=settings)
    result = _joined(parts)
    if items.warning:
        result = replace(result, warnings=(items.warning, *result.warnings))
    if not compared:
        return result
    if len(items) > limit:
        told = f"{', '.join(compared)} left out: {len(items)} structures, the oracle compares {limit} at once"
        return replace(result, warnings=(*result.warnings, told))
    return _with_comparisons(client, items, result, compared, settings)


def _counted_from(part: Scores, start: int) -> Scores:
    """A piece counts its structures from its own beginning; the user counts from the first of all."""
    numbers = {index: index + start for index in range(len(part))}
    return replace(part, scores=tuple(renumbered(score, numbers) for score in part))


def _joined(parts: Sequence[Scores]) -> Scores:
    return Scores(
        scores=tuple(score for part in parts for score in part.scores),
        provenance=parts[0].provenance,
        cache_hits=sum(part.cache_hits for part in parts),
        cache_misses=sum(part.cache_misses for part in parts),
        calculator_calls=sum(part.calculator_calls for part in parts),
        seconds=_summed(part.seconds for part in parts),
        warnings=tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
    )


def _with_comparisons(
    client: Client,
    items: Sequence[Item],
    result: Scores,
    compared: tuple[str, ...],
    settings: Mapping[str, Any] | None,
) -> Scores:
    # Relaxing again would measure nothing new: comparisons are of the structures as given.
    plain = {key: value for key, value in (settings or {}).items() if key != "relax"}
    whole = client.oracle.score(items, components=compared, settings=plain)
    names = [name for component in compared for name in fields_of(component_number(component))]
    scores = tuple(_merged(one, all_, names) for one, all_ in zip(result.scores, whole.scores, strict=True))
    return replace(
        result,
        scores=scores,
        cache_hits=result.cache_hits + whole.cache_hits,
        cache_misses=result.cache_misses + whole.cache_misses,
        seconds=_summed([result.seconds, whole.seconds]),
        warnings=tuple(dict.fromkeys((*result.warnings, *whole.warnings))),
    )


def _merged(score: Score, comparison: Score, names: Sequence[str]) -> Score:
    first = comparison if score.ok else score
    return replace(
        score,
        **{name: getattr(comparison, name) for name in names},
        components={**comparison.components, **score.components},
        status=first.status,
        message=first.message,
    )


def _summed(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for stage, seconds in part.items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total
