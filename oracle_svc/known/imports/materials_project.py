"""Entries of the Materials Project over its public API (`/materials/thermo/`), with the user's own key.

One request gives a page of documents with the corrected energy per atom of each material; nothing else is
asked for. Plain HTTPS: the official client brings thirty packages for the same four fields.
"""

from __future__ import annotations

import http.client
import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from oracle_svc.known.hull import HullEntry
from oracle_svc.known.imports.base import Imported, ImportedEnergies, composition_from
from xenolith.errors import InvalidArgumentError, UnavailableError

__all__ = ["THERMO_TYPES", "MpQuery", "fetch_entries"]

THERMO_TYPES: Mapping[str, str] = {
    "GGA_GGA+U": "MP2020-corrected GGA/GGA+U",
    "R2SCAN": "r2SCAN",
    "GGA_GGA+U_R2SCAN": "MP2022-mixed GGA/GGA+U/r2SCAN",
}
"""Energy scheme of each of the project's thermo types."""

_FIELDS = "material_id,composition,energy_per_atom,thermo_type"
_ATTEMPTS = 4
_TIMEOUT_S = 60.0
_RETRY = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class MpQuery:
    """A query to the Materials Project: which entries to fetch, from where."""

    key: str
    """The user's API key; sent as a header, never logged or stored."""
    chemical_systems: tuple[str, ...] = ()
    """Such as `Li-O`; each with all its parts. None: everything."""
    thermo_type: str = "GGA_GGA+U"
    url: str = "https://api.materialsproject.org"
    page: int = 1000
    """Documents of one request."""
    pause_s: float = 1.0
    """Wait before a request is repeated, seconds; doubled each time."""


def fetch_entries(query: MpQuery, *, progress: Callable[[str, int, int], None] | None = None) -> Imported:
    """Fetch entries.

    Parameters
    ----------
    progress
        Called with ("entries", documents so far, documents in all).

    Raises
    ------
    InvalidArgumentError
        The key is refused, the thermo type is unknown, or nothing answers the query.
    UnavailableError
        The API does not answer, or not in its own form.
    """
    if query.thermo_type not in THERMO_TYPES:
        raise InvalidArgumentError(f"{query.thermo_type!r} is none of {', '.join(THERMO_TYPES)}")
    if not query.key.strip():
        raise InvalidArgumentError("the Materials Project needs an API key: materialsproject.org/api")
    scheme = THERMO_TYPES[query.thermo_type]
    entries: dict[str, HullEntry] = {}
    skipped: dict[str, str] = {}
    for document in _documents(query, progress):
        label = str(document.get("material_id"))
        try:
            entries[label] = _entry(document, label, f"materials-project: {scheme}")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            skipped[label] = f"{type(error).__name__}: {error}"
    if not entries:
        raise InvalidArgumentError(
            f"the Materials Project has no {query.thermo_type} entry of"
            f" {', '.join(query.chemical_systems) or 'anything'} that can be read"
        )
    energies = ImportedEnergies(id="materials-project", scheme=scheme)
    return Imported(entries=tuple(entries.values()), energies=energies, skipped=skipped)


def parts_of(system: str) -> list[str]:
    """All chemical systems inside one, such as Li, O and Li-O of Li-O, as the API names them."""
    members = sorted({part.strip() for part in system.split("-") if part.strip()})
    chosen = range(1, 2 ** len(members))
    return ["-".join(m for bit, m in enumerate(members) if mask >> bit & 1) for mask in chosen]


def _documents(
    query: MpQuery, progress: Callable[[str, int, int], None] | None
) -> Iterator[Mapping[str, Any]]:
    wanted = sorted({part for system in query.chemical_systems for part in parts_of(system)})
    # A URL holds about eight thousand characters.
    groups = [wanted[start : start + 200] for start in range(0, len(wanted), 200)] or [[]]
    done, total = 0, 0
    for group in groups:
        skip = 0
        while True:
            answer = _get(query, group, skip)
            page = answer["data"]
            count = int(answer["meta"]["total_doc"])
            total += count if skip == 0 else 0
            yield from page
            skip, done = skip + len(page), done + len(page)
            if progress is not None:
                progress("entries", done, total)
            if not page or skip >= count:
                break


def _get(query: MpQuery, systems: list[str], skip: int) -> dict[str, Any]:
    parameters = {
        "thermo_types": query.thermo_type, "_fields": _FIELDS, "_limit": query.page, "_skip": skip,
    }  # fmt: skip
    if systems:
        parameters["chemsys"] = ",".join(systems)
    url = f"{query.url.rstrip('/')}/materials/thermo/?{urllib.parse.urlencode(parameters)}"
    if not url.startswith(("https://", "http://")):
        raise InvalidArgumentError(f"{query.url} is no address of an API: it begins with https://")
    headers = {"X-API-KEY": query.key.strip(), "Accept": "application/json"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # checked above
    pause = query.pause_s
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return _checked(answer.read(), query.url)
        except urllib.error.HTTPError as error:
            if error.code in {401, 403}:
                raise InvalidArgumentError(f"{query.url} refuses the API key: look at {_KEYS}") from error
            if error.code not in _RETRY or attempt == _ATTEMPTS:
                raise UnavailableError(f"{query.url} answers {error.code} {error.reason}") from error
        except (urllib.error.URLError, TimeoutError, OSError, http.client.HTTPException) as error:
            if attempt == _ATTEMPTS:
                raise UnavailableError(f"{query.url} does not answer: {error}") from error
        time.sleep(pause)
        pause *= 2
    raise AssertionError("unreachable: the last attempt returns or raises")


_KEYS = "https://next-gen.materialsproject.org/api"


def _checked(content: bytes, url: str) -> dict[str, Any]:
    try:
        answer = json.loads(content)
        if isinstance(answer["data"], list) and isinstance(answer["meta"]["total_doc"], int):
            return dict(answer)
    except (ValueError, KeyError, TypeError):
        pass
    raise UnavailableError(f"{url} does not answer as the Materials Project's API does")


def _entry(document: Mapping[str, Any], label: str, scheme: str) -> HullEntry:
    amounts = {str(symbol): float(amount) for symbol, amount in document["composition"].items()}
    energy = float(document["energy_per_atom"])
    if not math.isfinite(energy):
        raise ValueError(f"its energy is {energy}")
    return HullEntry(id=label, composition=composition_from(amounts), energy_per_atom=energy, scheme=scheme)
