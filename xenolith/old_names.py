"""Old import paths that keep working after a module has moved."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, ModuleType

__all__ = ["keep_old_names"]


def keep_old_names(moved: Mapping[str, str]) -> None:
    """Let modules be imported, and run with ``python -m``, by the names they had before they moved.

    Importing an old name gives the very module that the new name gives, so that its classes are the same.

    Parameters
    ----------
    moved
        From full old names to full new ones. Folders above an old module are entries too.
    """
    finder = next((f for f in sys.meta_path if isinstance(f, _OldNames)), None)
    if finder is None:
        finder = _OldNames()
        sys.meta_path.insert(0, finder)
    finder.moved.update(moved)


class _OldNames(MetaPathFinder):
    def __init__(self) -> None:
        self.moved: dict[str, str] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        new = self.moved.get(fullname)
        found = find_spec(new) if new else None
        if new is None or found is None:
            return None
        spec = ModuleSpec(fullname, _Renamed(new), origin=found.origin)
        spec.submodule_search_locations = found.submodule_search_locations
        return spec


class _Renamed(Loader):
    def __init__(self, new: str) -> None:
        self._new = new
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._new)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import has set that of the old name

    def get_code(self, _fullname: str) -> CodeType | None:
        """Code of the module at its new place, for ``python -m``."""
        found = find_spec(self._new)
        loader = None if found is None else found.loader
        return None if loader is None else loader.get_code(self._new)  # type: ignore[attr-defined]
