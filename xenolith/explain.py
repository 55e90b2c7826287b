"""What pydantic found wrong with a file, in the words of the file."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

__all__ = ["explain"]


def explain(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Say which keys are wrong and why, in one line; `model` gives the keys that there are."""
    return "; ".join(f"{_path(item['loc'])}: {_reason(item, model)}" for item in error.errors())


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
