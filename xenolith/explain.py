"""Explanations of pydantic's errors in a file, in the words of the file."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from xenolith.errors import FieldViolation

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

__all__ = ["explain", "violations"]


def explain(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Say which keys are wrong and why, in one line; `model` gives the keys that there are."""
    return "; ".join(f"{_path(item['loc'])}: {_reason(item, model)}" for item in error.errors())


def violations(
    error: ValidationError, model: type[BaseModel] | None = None, root: str = ""
) -> list[FieldViolation]:
    """Return each wrong key as a field of a request, such as ``config.reward.terms[2].weight``.

    Parameters
    ----------
    error, model
        As for `explain`; the descriptions are its own.
    root
        Name of the field that holds the document.
    """
    return [
        FieldViolation(field=_field(item["loc"], root), description=_reason(item, model))
        for item in error.errors()
    ]


def _field(location: tuple[int | str, ...], root: str) -> str:
    path = root
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "document"


def _reason(item: Any, model: type[BaseModel] | None) -> str:
    if item["type"] == "extra_forbidden" and model is not None:
        known = _keys(model, item["loc"][:-1])
        close = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        return f"there is no such key; {hint}"
    if item["type"] == "missing":
        return "is missing"
    reason = str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    return f"{reason}, not {given!r}" if isinstance(given, str | int | float | bool) else reason


def _keys(model: Any, location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        model = getattr(model, "model_fields", {}).get(str(part), None)
        model = getattr(model, "annotation", None)
    fields = getattr(model, "model_fields", None) or getattr(model, "__dataclass_fields__", {})
    return list(fields)
