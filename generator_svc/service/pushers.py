"""Whose policy versions are: what one caller pushed under a name, no other can forge under the same name."""

from __future__ import annotations

from collections import OrderedDict

from xenolith.contract.access import Access
from xenolith.errors import PermissionDeniedError
from xenolith.serving.callers import Caller

__all__ = ["Pushers"]

_KEPT = 4096


class Pushers:
    """Remembers who pushed which policy version, as far as callers have names. For one event loop.

    Without it whoever may push weights could push others under the version that a run expects, and the run
    would train on what a stranger sampled.
    """

    def __init__(self) -> None:
        self._by_version: OrderedDict[str, str] = OrderedDict()

    def check(self, version: str, who: Caller | None) -> None:
        """Refuse a caller to whom a version does not belong; administrators may push any.

        Raises
        ------
        PermissionDeniedError
            Another caller pushed it before.
        """
        owner = self._by_version.get(version)
        if owner is None or who is None or who.name == owner or Access.ADMIN in who.roles:
            return
        raise PermissionDeniedError(
            f"policy version {version!r} was pushed by {owner}; {who.name} can push under another name alone"
        )

    def claim(self, version: str, who: Caller | None) -> None:
        """Check, and remember that a version belongs to a caller.

        Raises
        ------
        PermissionDeniedError
            Another caller pushed it before.
        """
        self.check(version, who)
        if who is None or who.shared or version in self._by_version:
            return
        self._by_version[version] = who.name
        if len(self._by_version) > _KEPT:
            self._by_version.popitem(last=False)
