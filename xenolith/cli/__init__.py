"""The terminal program ``xenolith``: one module per command."""

from xenolith.cli._main import main

__all__ = ["main"]
