"""The terminal program ``xenolith``: one module per command."""

from xenolith.cli.program import main

__all__ = ["main"]
