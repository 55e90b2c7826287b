"""Every name that users import stands in the documentation."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"
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
