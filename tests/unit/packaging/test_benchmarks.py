from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = sorted(
    path.stem
    for path in (Path(__file__).parents[3] / "benchmarks").glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text()
)


def test_there_are_benchmarks():
    assert {"generator", "oracle", "relaxation"} <= set(BENCHMARKS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_can_be_tried_and_writes_its_figures(name, capsys):
    with pytest.raises(SystemExit) as ended:
        import_module(f"benchmarks.{name}").main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert f"usage: python -m benchmarks.{name} " in told
    assert "--quick" in told
    assert "--json FILE" in told
