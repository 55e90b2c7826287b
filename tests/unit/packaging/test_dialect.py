"""The rules of writing that ruff has no check for; CONTRIBUTING.md has them in words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = ("xenolith", "generator_svc", "oracle_svc", "trainer_svc")
DOCUMENTED = (*PACKAGES, "benchmarks", "examples")
GENERATED = ROOT / "xenolith" / "v1"


def modules(package: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        if GENERATED not in path.parents:
            yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def defines_public_names(tree: ast.Module) -> bool:
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, definitions) and not node.name.startswith("_") for node in tree.body)


def stated_names(tree: ast.Module) -> list[str] | None:
    """Return the names that `__all__` lists; None where a module has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return None


def docstrings(package: str) -> Iterator[tuple[Path, str]]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path, tree in modules(package):
        for node in ast.walk(tree):
            if isinstance(node, documented) and (text := ast.get_docstring(node)):
                yield path, text


@pytest.mark.parametrize("package", DOCUMENTED)
def test_no_docstring_opens_with_what(package: str) -> None:
    found = [
        f"{path}: {text.splitlines()[0]}"
        for path, text in docstrings(package)
        if text.lower().startswith("what")
    ]
    assert not found, "say what it is for, beginning with a noun or a verb"


@pytest.mark.parametrize("package", DOCUMENTED)
def test_parameters_and_errors_are_described_on_the_line_below_their_names(package: str) -> None:
    found = [
        f"{path}: {line}"
        for path, text in docstrings(package)
        for line in re.findall(r"^[\w*, ]+ : .+$", text.partition("\n---")[2], re.MULTILINE)
    ]
    assert not found, "the name stands alone; what it is follows, indented"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_with_public_names_lists_them(package: str) -> None:
    silent = [
        str(path)
        for path, tree in modules(package)
        if defines_public_names(tree) and stated_names(tree) is None
    ]
    assert not silent, "add __all__ after the imports"
