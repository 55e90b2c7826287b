"""The documentation builds as a site without a warning, and holds what it promises."""

import importlib
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.unit.packaging.test_public_names import PACKAGES
from xenolith.v1 import crystal_pb2, generator_pb2, oracle_pb2, trainer_pb2

ROOT = Path(__file__).resolve().parents[3]
CONTRACT = (crystal_pb2, generator_pb2, oracle_pb2, trainer_pb2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def inventory(site: Path) -> set[str]:
    """Return the names of all Python objects that the pages show."""
    lines = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode().splitlines()
    return {line.split(" ", 1)[0] for line in lines}


def test_every_public_name_is_shown_with_the_methods_of_the_clients(site: Path) -> None:
    shown = inventory(site)
    expected = {f"{package}.{n}" for package in PACKAGES for n in importlib.import_module(package).__all__}
    assert not expected - shown
    for method in (
        "GeneratorClient.sample",
        "OracleClient.score",
        "TrainerClient.watch_run",
        "Client.connect",
    ):
        assert f"xenolith.client.{method}" in shown
        assert f"xenolith.client.Async{method}" in shown


def test_options_that_travel_as_one_dataclass_are_shown_as_arguments(site: Path) -> None:
    page = (site / "reference" / "client" / "index.html").read_text()
    for words in ("expected_settings_digest", "Steps of the bundle's network that finishes decoded crystals"):
        assert words in page.replace("&#39;", "'")


@pytest.mark.parametrize("module", CONTRACT, ids=lambda module: module.DESCRIPTOR.name)
def test_every_service_method_message_field_and_value_of_the_contract_is_shown(
    site: Path, module: object
) -> None:
    file = module.DESCRIPTOR
    page = (site / "contract" / Path(file.name).stem / "index.html").read_text()
    anchors, cells = set(re.findall(r' id="([\w.]+)"', page)), set(re.findall(r"<code>(\w+)</code>", page))
    assert {*file.services_by_name, *file.message_types_by_name, *file.enum_types_by_name} <= anchors
    for service in file.services_by_name.values():
        assert set(service.methods_by_name) <= cells
    for message in file.message_types_by_name.values():
        assert set(message.fields_by_name) <= cells
    for enum in file.enum_types_by_name.values():
        assert set(enum.values_by_name) <= cells


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    # A page that shows a file of the repository has a folder of that file's name.
    for page in filter(Path.is_file, site.rglob("*.html")):
        fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert not fetched, page


def test_files_that_pages_link_to_are_shown(site: Path) -> None:
    page = (site / "sdk" / "index.html").read_text()
    assert 'href="../source/examples/sdk.py/"' in page
    assert "ROCK_SALT" in (site / "source" / "examples" / "sdk.py" / "index.html").read_text()
    assert 'href="sdk/"' in (site / "index.html").read_text()
