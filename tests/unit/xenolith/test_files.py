"""A file of the user's that cannot be used says why, in one sentence."""

import math
from pathlib import Path
from typing import Any

import pytest

from xenolith.cli import main
from xenolith.errors import InvalidArgumentError, NotFoundError
from xenolith.files import read_json, read_toml, without_nan, write_json


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file .*run\.toml"):
        read_toml(tmp_path / "run.toml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", r"run\.toml is not valid TOML"),
        (b"\xff\xfe\x00", r"run\.toml is no text file"),
        (None, r"run\.toml cannot be read: Is a directory"),
    ],
)
def test_what_is_no_toml_says_why(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "run.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=message):
        read_toml(path)


def test_train_says_that_its_file_is_missing(tmp_path: Path, capsys: Any) -> None:
    assert main(["train", str(tmp_path / "no.toml")]) == 1
    assert capsys.readouterr().err == f"xenolith train: there is no file {tmp_path / 'no.toml'}\n"


def test_a_typo_in_a_run_is_reported_once(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "run.toml"
    path.write_text('name = "a"\nstep = 3\n')
    assert main(["train", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.count("step") == said.count("steps") + 1
    assert "did you mean steps?" in said


def test_json_has_no_nan(tmp_path: Path) -> None:
    document = {"a": [1.0, math.nan], "b": {"c": math.inf}}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", document)
    write_json(tmp_path / "a.json", without_nan(document))
    assert read_json(tmp_path / "a.json") == {"a": [1.0, None], "b": {"c": None}}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
