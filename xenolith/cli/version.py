"""The version of the installed package."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

__all__ = ["version"]


def version() -> str:
    """Return the version, ``unknown`` in a source tree that is not installed."""
    try:
        return installed("xenolith")
    except PackageNotFoundError:
        return "unknown"
