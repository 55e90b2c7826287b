"""Heavy libraries on demand, with an error that says how to get them."""

import importlib
from types import ModuleType

from xenolith.errors import UnavailableError

__all__ = ["MissingExtraError", "require"]


class MissingExtraError(UnavailableError, ImportError):
    """An optional library is not installed; the message says which extra brings it."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, which ``xenolith[extra]`` installs.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).split(".")[0]
        raise MissingExtraError(
            f"{missing} is needed here and not installed: pip install 'xenolith[{extra}]'"
        ) from error
