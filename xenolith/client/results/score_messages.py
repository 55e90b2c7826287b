"""Scores from the oracle's messages."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from xenolith.client.results.scores import Audit, HullPhase, Provenance, Relaxation, Score, Scores
from xenolith.contract.names import component_name, status_name
from xenolith.contract.structure_messages import StructureMessage
from xenolith.contract.wire import batch_from_proto, tensor_from_proto
from xenolith.convert.item import Item, Items
from xenolith.errors import DisorderedError
from xenolith.v1 import oracle_pb2

__all__ = ["renumbered", "scores_from_proto"]


def scores_from_proto(items: Sequence[Item], response: oracle_pb2.ScoreResponse) -> Scores:
    """Return the scores of `items`, of which those without a problem were sent, in order."""
    provenance = _fill(Provenance, response.provenance)
    # The oracle counts what it was sent, the user what he gave.
    sent = [index for index, item in enumerate(items) if item.problem is None]
    given = dict(enumerate(sent))
    scores = [_unread(item, index) for index, item in enumerate(items)]
    for place, (index, message) in enumerate(zip(sent, response.scores, strict=True)):
        scores[index] = renumbered(_score(items[index], place, message, provenance), given)
    stats = response.stats
    ignored = (items.warning,) if isinstance(items, Items) and items.warning else ()
    return Scores(
        scores=tuple(scores),
        provenance=provenance,
        cache_hits=stats.cache_hits,
        cache_misses=stats.cache_misses,
        calculator_calls=stats.calculator_calls,
        seconds=dict(stats.seconds),
        warnings=(*ignored, *response.warnings),
    )


def renumbered(score: Score, numbers: Mapping[int, int]) -> Score:
    """Return a score that counts structures otherwise.

    Parameters
    ----------
    score
        A score.
    numbers
        New number of each structure by its old one.
    """

    def message(thing: Score | Audit | Relaxation) -> StructureMessage:
        return StructureMessage.of(thing.message).renumbered(numbers)

    relaxation = score.relaxation
    return replace(
        score,
        message=message(score),
        relaxation=relaxation and replace(relaxation, message=message(relaxation)),
        audits=tuple(replace(audit, message=message(audit)) for audit in score.audits),
        duplicate_of=None if score.duplicate_of is None else numbers.get(score.duplicate_of),
    )


def _unread(item: Item, index: int) -> Score:
    status = "DISORDERED" if isinstance(item.problem, DisorderedError) else "MALFORMED"
    problem = str(item.problem)
    # The problem of a file names the file.
    message = StructureMessage.about(index, problem) if item.source.isdigit() else problem
    return Score(source=item.source, status=status, message=message, notes=item.notes)


def _score(item: Item, place: int, message: oracle_pb2.StructureScore, provenance: Provenance) -> Score:
    """Score of the structure at a place of the request, with the request's numbers."""
    given: dict[str, Any] = {
        "source": item.source,
        "status": status_name(message.status),
        "message": StructureMessage.from_proto(message, place),
        "notes": item.notes,
        "properties": dict(message.properties),
        "components": {
            component_name(c.component).upper(): status_name(c.status) for c in message.components
        },
        "audits": tuple(_fill(Audit, audit, _message(audit, place)) for audit in message.audits),
        "decomposition": tuple(_fill(HullPhase, phase) for phase in message.decomposition),
        "relaxation": _relaxation(message.relaxation, place) if message.HasField("relaxation") else None,
        "calculator": provenance.calculator_id,
        "reference": provenance.reference_id,
        "crystal": item.crystal,
        "amd": np.array(message.amd, np.float32) if message.amd else None,
        "embedding": np.array(message.embedding, np.float32) if message.embedding else None,
    }
    if message.HasField("forces"):
        given["forces"] = tensor_from_proto(message.forces.forces, "forces")
        given["stress"] = tensor_from_proto(message.forces.stress, "stress")
    return _fill(Score, message, given)


def _message(message: Any, place: int) -> dict[str, Any]:
    return {"message": StructureMessage.from_proto(message, place)}


def _relaxation(message: oracle_pb2.Relaxation, place: int) -> Relaxation:
    crystal = (
        batch_from_proto(message.crystal, "relaxation.crystal")[0] if message.HasField("crystal") else None
    )
    return _fill(Relaxation, message, {"crystal": crystal, **_message(message, place)})


def _fill(cls: type[Any], message: Any, given: dict[str, Any] | None = None) -> Any:
    """Return a dataclass with the fields of the same names of a message; absent ones keep their default."""
    values = dict(given or {})
    known = message.DESCRIPTOR.fields_by_name
    for name in (f.name for f in fields(cls) if f.name not in values and f.name in known):
        if known[name].has_presence and not message.HasField(name):
            continue
        value = getattr(message, name)
        values[name] = status_name(value) if name == "status" else value
    return cls(**values)
