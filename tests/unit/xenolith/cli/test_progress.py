import io
from typing import Any

import pytest

rich_console = pytest.importorskip("rich.console")

from xenolith.cli.output import number, table, write_json  # noqa: E402  # after the skip
from xenolith.cli.progress import Progress, status  # noqa: E402


def shown(*, terminal: bool, body: Any) -> str:
    out = io.StringIO()
    console = rich_console.Console(file=out, force_terminal=terminal, width=120)
    body(console)
    return out.getvalue()


def follow(console: Any) -> None:
    with status(console, "starting"), Progress(console) as progress:
        for step in range(1, 4):
            progress.update("steps", step, 3, f"reward {step}")
        progress.update("sample", 5, None)
        progress.update("sample", 6, None)
        progress.print("warning: redis is away")


def test_lines_now_and_then_without_a_terminal() -> None:
    assert shown(terminal=False, body=follow).splitlines() == [
        "starting",
        "steps: 1/3 reward 1",
        "steps: 2/3 reward 2",
        "steps: 3/3 reward 3",
        "sample: 5",
        "warning: redis is away",
    ]


def test_bars_on_a_terminal() -> None:
    text = shown(terminal=True, body=follow)
    assert "3/3" in text
    assert "reward 3" in text
    assert "6/?" in text
    assert "warning: redis is away" in text


def test_long_cells_are_cut_not_wrapped() -> None:
    wide = table("t", ["a", "b"], [("x" * 300, "1")])
    assert len(shown(terminal=False, body=lambda console: console.print(wide)).splitlines()) == 6


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    write_json("-", {"a": [float("nan"), 1.5], "b": float("inf")})
    assert capsys.readouterr().out.split() == ["{", '"a":', "[", "null,", "1.5", "],", '"b":', "null", "}"]


def test_numbers_for_people() -> None:
    assert (number(None), number(float("nan")), number(0.0), number(1.23456, 2)) == (
        "-",
        "-",
        "0.000",
        "1.23",
    )
