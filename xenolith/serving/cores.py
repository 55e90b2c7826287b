"""How many cores a service may compute on."""

import math
import os
from pathlib import Path

__all__ = ["usable_cores"]

_GROUP = Path("/sys/fs/cgroup")


def usable_cores(group: Path = _GROUP) -> int:
    """Cores this process may use: its affinity's, and no more than its container's limit of processor time.

    Parameters
    ----------
    group
        Folder of the control group, as the container sees it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = _quota(group)
    return cores if share is None else max(1, min(cores, math.ceil(share)))


def _quota(group: Path) -> float | None:
    """The limit in cores; None if there is none."""
    try:
        if (file := group / "cpu.max").exists():
            quota, period = file.read_text().split()
        else:
            quota = (group / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu/cpu.cfs_period_us").read_text().strip()
        share = float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # no group, or "max"
        return None
    return share if share > 0 else None
