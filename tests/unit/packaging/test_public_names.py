"""Every name that users import stands in the documentation."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
PACKAGES = (
    "xenolith",
    "xenolith.analysis",
    "xenolith.bundle",
    "xenolith.client",
    "xenolith.conformance",
    "xenolith.convert",
    "xenolith.crystal",
    "xenolith.datasets",
    "xenolith.errors",
    "xenolith.formula",
    "xenolith.headlines",
    "xenolith.intervals",
    "xenolith.serving",
    "xenolith.stack",
    "oracle_svc.calculators",
    "oracle_svc.properties",
)
"""What programs of users import from; everything else is internal."""

OURS = tuple({name.partition(".")[0] for name in PACKAGES})


def shown_packages() -> list[str]:
    """Return the packages whose names the pages of the reference show, from their docstrings."""
    pages = sorted((DOCS / "reference").glob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]


def test_each_public_package_has_one_page_of_the_reference() -> None:
    assert sorted(shown_packages()) == sorted(PACKAGES)


def test_the_reference_lists_its_pages() -> None:
    listed = re.findall(r"\[`(\S+)`\]\((\S+)\.md\)", (DOCS / "reference" / "index.md").read_text())
    assert sorted(name for name, _ in listed) == sorted(PACKAGES)
    for name, page in listed:
        assert f"::: {name}\n" in (DOCS / "reference" / f"{page}.md").read_text()


def imported(page: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of what the Python of a page imports of ours."""
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS):
                yield from ((str(node.module), alias.name) for alias in node.names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_python_of_a_page_can_be_read_and_imports_what_there_is(page: Path) -> None:
    for module, name in imported(page):
        assert hasattr(importlib.import_module(module), name), f"from {module} import {name}"
