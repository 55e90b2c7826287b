"""The folder of a training: what it was begun with, and whether it may go on with what is asked now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from xenolith.errors import FailedPreconditionError, NotFoundError
from xenolith.explain import explain
from xenolith.files import read_text, write_json

__all__ = [
    "INPUTS_FILE",
    "RUN_FILE",
    "STATE_FILE",
    "Run",
    "check_inputs",
    "check_run",
    "read_run",
    "write_run",
]

RUN_FILE, INPUTS_FILE, STATE_FILE = "run.json", "inputs.json", "training.safetensors"

# How to train, not what comes of it. The last three change the rounding or the noise of single steps.
_MAY_CHANGE = {
    "loop.device",
    "loop.threads",
    "loop.checkpoint_every",
    "loop.validate_every",
    "loop.compile",
    "loop.precision",
    "loop.pieces",
}

log = structlog.get_logger()
Run = TypeVar("Run", bound=BaseModel)


def read_run(directory: Path, kind: type[Run]) -> Run:
    """Read the settings a training was begun with; those of older versions get today's defaults.

    Raises
    ------
    NotFoundError
        The folder holds no training.
    FailedPreconditionError
        It holds one of another kind.
    """
    if not (directory / RUN_FILE).exists():
        raise NotFoundError(f"{directory} holds no training: it has no {RUN_FILE}")
    text = read_text(directory / RUN_FILE)
    try:
        return kind.model_validate(json.loads(text))
    except ValidationError as error:
        raise FailedPreconditionError(
            f"{directory / RUN_FILE} is not of {kind.__name__}: {explain(error, kind)}"
        ) from error


def check_run(directory: Path, run: BaseModel) -> None:
    """Refuse to go on with a training under other settings.

    Raises
    ------
    FailedPreconditionError
        The folder's training was begun with other settings; every key is named.
    """
    if not (directory / RUN_FILE).exists():
        return
    begun = _flat(read_run(directory, type(run)).model_dump(mode="json"))
    asked = _flat(run.model_dump(mode="json"))
    changed = sorted(key for key in begun | asked if begun.get(key) != asked.get(key))
    if refused := [key for key in changed if key not in _MAY_CHANGE]:
        words = "; ".join(f"{key} was {begun.get(key)!r} and is {asked.get(key)!r} now" for key in refused)
        raise FailedPreconditionError(
            f"{directory} was begun with other settings: {words}. Set them back, or choose another folder"
        )
    if changed:
        log.info("settings changed", **{key: f"{begun.get(key)} -> {asked.get(key)}" for key in changed})


def check_inputs(directory: Path, inputs: Mapping[str, str]) -> None:
    """Refuse to go on with a training on other inputs; folders of versions that did not note them pass.

    Parameters
    ----------
    directory
        Of the training.
    inputs
        Digest of each thing that is trained on, such as the crystals.

    Raises
    ------
    FailedPreconditionError
        One is not what the training began with; it is named.
    """
    if not (directory / INPUTS_FILE).exists():
        return
    begun = json.loads(read_text(directory / INPUTS_FILE))
    if changed := sorted(name for name, digest in inputs.items() if begun.get(name) != digest):
        raise FailedPreconditionError(
            f"{directory} was begun with other contents of: {', '.join(changed)}. Bring them back, or choose "
            "another folder"
        )


def write_run(directory: Path, run: BaseModel, inputs: Mapping[str, str]) -> None:
    """Write the settings, and the digests of what is trained on, into the folder, making it."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / INPUTS_FILE, dict(inputs))
    write_json(directory / RUN_FILE, run.model_dump(mode="json"))


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in document.items():
        result |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return result
