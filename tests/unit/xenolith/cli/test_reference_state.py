"""Where `xenolith reference build` keeps results of DFT: where the oracle does."""

from pathlib import Path

import pytest

from xenolith.cli.oracle.reference import state_folder
from xenolith.errors import InvalidArgumentError


def test_results_of_dft_are_kept_where_the_oracle_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XENOLITH_ORACLE_STATE", str(tmp_path / "state"))
    assert state_folder(None) == tmp_path / "state"
    assert state_folder(tmp_path / "mine") == tmp_path / "mine"


def test_a_state_of_none_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENOLITH_ORACLE_STATE", "none")
    with pytest.raises(InvalidArgumentError, match="name --state"):
        state_folder(None)
