"""Scores from the oracle's messages."""

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from xenolith.client.results import Audit, HullPhase, Provenance, Relaxation, Score, Scores
from xenolith.contract.wire import batch_from_proto, tensor_from_proto
from xenolith.convert.item import Item
from xenolith.errors import DisorderedError
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["scores_from_proto", "status_name"]

# The oracle counts what it was sent, the user what he gave.
_COUNTED = re.compile(r"^structure \d+:")


def scores_from_proto(items: Sequence[Item], response: oracle_pb2.ScoreResponse) -> Scores:
    """Return the scores of `items`, of which those without a problem were sent, in order."""
    answers = iter(response.scores)
    provenance = _fill(Provenance, response.provenance)
    sent = [index for index, item in enumerate(items) if item.problem is None]
    scores = tuple(
        _unread(item, index) if item.problem else _score(item, index, next(answers), provenance, sent)
        for index, item in enumerate(items)
    )
    stats = response.stats
    return Scores(
        scores=scores,
        provenance=provenance,
        cache_hits=stats.cache_hits,
        cache_misses=stats.cache_misses,
        calculator_calls=stats.calculator_calls,
        seconds=dict(stats.seconds),
        warnings=tuple(response.warnings),
    )


def status_name(number: int) -> str:
    """Return the contract's name of a status, without its prefix."""
    try:
        return crystal_pb2.StructureStatus.Name(number).removeprefix("STRUCTURE_STATUS_")
    except ValueError:  # from a server newer than this client
        return f"STATUS_{number}"


def _unread(item: Item, index: int) -> Score:
    status = "DISORDERED" if isinstance(item.problem, DisorderedError) else "MALFORMED"
    named = not item.source.isdigit()  # the problem of a file names the file
    message = str(item.problem) if named else f"structure {index}: {item.problem}"
    return Score(source=item.source, status=status, message=message)


def _score(
    item: Item, index: int, message: oracle_pb2.StructureScore, provenance: Provenance, sent: list[int]
) -> Score:
    given: dict[str, Any] = {
        "source": item.source,
        "status": status_name(message.status),
        "message": _COUNTED.sub(f"structure {index}:", message.message),
        "properties": dict(message.properties),
        "components": {_component(c.component): status_name(c.status) for c in message.components},
        "audits": tuple(_fill(Audit, audit) for audit in message.audits),
        "decomposition": tuple(_fill(HullPhase, phase) for phase in message.decomposition),
        "relaxation": _relaxation(message.relaxation) if message.HasField("relaxation") else None,
        "calculator": provenance.calculator_id,
        "reference": provenance.reference_id,
        "crystal": item.crystal,
        "amd": np.array(message.amd, np.float32) if message.amd else None,
        "embedding": np.array(message.embedding, np.float32) if message.embedding else None,
    }
    if message.HasField("duplicate_of"):
        given["duplicate_of"] = sent[message.duplicate_of] if message.duplicate_of < len(sent) else None
    if message.HasField("forces"):
        given["forces"] = tensor_from_proto(message.forces.forces, "forces")
        given["stress"] = tensor_from_proto(message.forces.stress, "stress")
    return _fill(Score, message, given)


def _relaxation(message: oracle_pb2.Relaxation) -> Relaxation:
    crystal = (
        batch_from_proto(message.crystal, "relaxation.crystal")[0] if message.HasField("crystal") else None
    )
    return _fill(Relaxation, message, {"crystal": crystal})


def _component(number: int) -> str:
    try:
        return oracle_pb2.Component.Name(number).removeprefix("COMPONENT_")
    except ValueError:
        return f"COMPONENT_{number}"


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
