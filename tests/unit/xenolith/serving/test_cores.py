import os
from pathlib import Path

import pytest

from xenolith.serving import usable_cores

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "cores"),
    [("100000 100000", 1), ("50000 100000", 1), ("900000000 100000", ALL), ("max 100000", ALL), ("", ALL)],
)
def test_a_containers_limit_of_processor_time_bounds_the_cores(tmp_path: Path, text: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path) == cores


def test_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == 1
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert usable_cores(tmp_path) == ALL


def test_without_a_control_group_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "none") == ALL
