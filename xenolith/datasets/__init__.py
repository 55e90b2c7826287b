"""Public sets of crystals, fetched from where their authors publish them."""

import os
from pathlib import Path

from xenolith.datasets.alex_mp_20 import AlexMp20Source, fetch_alex_mp_20
from xenolith.datasets.mp20 import Mp20Source, fetch_mp20

__all__ = ["DATASETS", "AlexMp20Source", "Mp20Source", "fetch_alex_mp_20", "fetch_mp20", "find_dataset"]

DATASETS = {"mp-20": "mp20.parquet", "alex-mp-20": "alex_mp_20.parquet"}
"""Sets known by name, and the file that fetching them writes."""


def find_dataset(name: str) -> Path | None:
    """Return the file of a fetched set, looked for in ``$XENOLITH_DATA`` and ``./data``; None without one."""
    folders = [Path(folder) for folder in (os.environ.get("XENOLITH_DATA"), "data") if folder]
    return next((folder / DATASETS[name] for folder in folders if (folder / DATASETS[name]).is_file()), None)
