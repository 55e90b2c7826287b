"""Published models arrive whole and verified, once, or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("mace", reason="the mace extra is not installed")

from oracle_svc.calculators import open_calculator, prepare_calculator
from oracle_svc.calculators.mace import fetch as mace_fetch
from oracle_svc.calculators.mace.fetch import PUBLISHED, PublishedModel, install, main
from tests.unit.oracle_svc.specimens import salt
from xenolith.crystal import CrystalBatch


@dataclass(kw_only=True)
class Site:
    """A web server with one file."""

    address: str
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def site(mace_checkpoint: Path) -> Iterator[Site]:
    content = mace_checkpoint.read_bytes()
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if self.path == "/whole.model" else content[: len(content) // 2])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(address=f"http://127.0.0.1:{server.server_address[1]}", requests=seen)
    server.shutdown()
    thread.join()
    server.server_close()


def published(url: str, checkpoint: Path) -> PublishedModel:
    content = checkpoint.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return PublishedModel(
        name="mace-small", url=url, size=len(content), sha256=digest, scheme="random", licence="none"
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "xenolith" / "models"


def test_the_published_model_is_the_published_one() -> None:
    model = PUBLISHED["mace-mpa-0"]
    from mace.calculators.foundations_models import mace_mp_urls

    assert model.url == mace_mp_urls["medium-mpa-0"]
    assert len(model.sha256) == 64


def test_a_model_is_fetched_once_and_opened_by_name(
    site: Site, home: Path, mace_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = published(f"{site.address}/whole.model", mace_checkpoint)
    monkeypatch.setitem(PUBLISHED, "mace-small", model)
    with ThreadPoolExecutor(3) as threads:
        folders = set(threads.map(lambda _: install(model, home), range(3)))
    assert site.requests == ["/whole.model"]
    assert folders == {home / model.folder}
    assert sorted(path.name for path in (home / model.folder).iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    prepare_calculator("mace", {"model": "mace-small"})
    calculator = open_calculator("mace", model="mace-small", dtype="float64")
    assert (calculator.id, calculator.scheme, calculator.licence) == ("mace-small", "random", "none")
    by_path = open_calculator("mace", path=str(home / model.folder), dtype="float64")
    batch = CrystalBatch.from_crystals([salt()])
    assert calculator.evaluate(batch).energy_per_atom == by_path.evaluate(batch).energy_per_atom
    assert len(site.requests) == 1


def test_half_a_file_is_refused_and_leaves_nothing(site: Site, home: Path, mace_checkpoint: Path) -> None:
    model = published(f"{site.address}/half.model", mace_checkpoint)
    with pytest.raises(ValueError, match=r"cannot be downloaded.*--from FILE"):
        install(model, home)
    assert not [path for path in home.iterdir() if path.is_dir()]


def test_without_network_a_copy_will_do(
    home: Path, mace_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = published("http://127.0.0.1:9/small.model", mace_checkpoint)
    monkeypatch.setitem(PUBLISHED, "mace-small", model)
    with pytest.raises(ValueError, match=r"Without network, fetch .*small\.model elsewhere"):
        open_calculator("mace", model="mace-small")
    foreign = home / "foreign.model"
    foreign.write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"not .* of mace-small"):
        mace_fetch.fetch("mace-small", source=foreign)
    assert mace_fetch.fetch("mace-small", source=mace_checkpoint)[1] == home / model.folder
    assert main(["mace-small"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(home / model.folder)


def test_what_is_no_model_is_not_kept(home: Path, tmp_path: Path) -> None:
    import torch

    torch.save({"no": "model"}, tmp_path / "other.model")
    model = published("http://127.0.0.1:9/other.model", tmp_path / "other.model")
    with pytest.raises(ValueError, match=r"could not be converted: .*not a ScaleShiftMACE"):
        install(model, home, source=tmp_path / "other.model")
    assert not [path for path in home.iterdir() if path.is_dir()]


def test_names_and_paths_are_told_apart() -> None:
    with pytest.raises(ValueError, match="no published MACE model 'mace-mpa-1'"):
        open_calculator("mace", model="mace-mpa-1")
    with pytest.raises(ValueError, match="give either the path"):
        open_calculator("mace")
