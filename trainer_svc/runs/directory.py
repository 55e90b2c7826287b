"""The directory of one run, and the names of what is in it."""

import shutil
from pathlib import Path

from google.protobuf import json_format

from trainer_svc.config.run_config import RunConfig, validate_config
from trainer_svc.errors import BrokenRunError, NoSuchRunError, RunExistsError
from xenolith.errors import InvalidArgumentError
from xenolith.files import read_json, sync_directory, write_json
from xenolith.v1 import trainer_pb2

__all__ = ["RunDirectory", "hide_run", "list_runs", "remove_deleted"]

_DELETED = ".deleted-"
"""Begins the name of a folder that is being removed; that of a run begins with a letter or digit."""

_ARTIFACTS = {
    "report.html": "text/html",
    "summary.json": "application/json",
    "config.json": "application/json",
    "versions.json": "application/json",
    "events.jsonl": "application/x-ndjson",
    "candidates.extxyz": "chemical/x-extxyz",
    "candidates.parquet": "application/vnd.apache.parquet",
    "evaluations/base.parquet": "application/vnd.apache.parquet",
    "evaluations/tuned.parquet": "application/vnd.apache.parquet",
}

_LONGEST_NAME = 255
"""Longest that a file system takes."""


class RunDirectory:
    """Paths of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.versions = path / "versions.json"
        self.record = path / "run.json"
        self.events = path / "events.jsonl"
        self.checkpoints = path / "checkpoints"
        self.evaluations = path / "evaluations"
        self.tensorboard = path / "tensorboard"
        self.summary = path / "summary.json"
        self.report = path / "report.html"

    @classmethod
    def create(cls, root: Path, config: RunConfig) -> "RunDirectory":
        """Make the directory of a new run, or return that of the same run.

        Raises
        ------
        RunExistsError
            The name belongs to a run with another configuration.
        """
        directory = cls(root / config.name)
        if directory.config.exists():
            if directory.read_config() != config:
                raise RunExistsError(
                    f"run {config.name!r} exists with another configuration; choose another name, or delete"
                    f" {directory.path}"
                )
            return directory
        directory.path.mkdir(parents=True, exist_ok=True)
        directory.evaluations.mkdir(exist_ok=True)
        directory.write_config(config)
        return directory

    @classmethod
    def open(cls, root: Path, name: str) -> "RunDirectory":
        """Open an existing run.

        Raises
        ------
        NoSuchRunError
            There is none of this name.
        """
        # A name is one path component, so that no request reaches outside the root.
        single = name not in {"", ".", ".."} and not {"/", "\\", "\0"} & set(name)
        if single and len(name) <= _LONGEST_NAME and (root / name / "config.json").is_file():
            return cls(root / name)
        raise NoSuchRunError(f"there is no run {name!r} in {root}; ListRuns names those there are")

    def read_config(self) -> RunConfig:
        """Read the resolved configuration.

        Raises
        ------
        BrokenRunError
            It is damaged, or of another version of Xenolith.
        """
        try:
            return validate_config(read_json(self.config))
        except (OSError, ValueError, InvalidArgumentError) as error:
            raise _broken(self.config, error) from error

    def write_config(self, config: RunConfig) -> None:
        """Replace the configuration, as a resumption with more steps does."""
        write_json(self.config, config.model_dump(mode="json"))

    def read_record(self) -> trainer_pb2.Run | None:
        """Read the run's last known state.

        Raises
        ------
        BrokenRunError
            It is damaged.
        """
        if not self.record.exists():
            return None
        try:
            run = json_format.ParseDict(read_json(self.record), trainer_pb2.Run())
            if not run.name:
                raise ValueError("it names no run")
        except (OSError, ValueError, TypeError, AttributeError, json_format.ParseError) as error:
            remedy = "remove it to have it made anew from config.json; checkpoints and events stay"
            raise _broken(self.record, error, remedy) from error
        return run

    def write_record(self, run: trainer_pb2.Run) -> None:
        """Replace the run's state."""
        write_json(self.record, json_format.MessageToDict(run, preserving_proto_field_name=True))

    def evaluation(self, which: str) -> Path:
        """Path of an evaluation, without suffix: ``.json`` the result, ``.parquet`` its structures."""
        return self.evaluations / which

    def artifacts(self) -> dict[str, str]:
        """Name the files that may be fetched, with their media types."""
        return {name: media for name, media in _ARTIFACTS.items() if (self.path / name).is_file()}


def list_runs(root: Path) -> list[str]:
    """Name the runs in a root, newest first."""
    configs = sorted(root.glob("*/config.json"), key=lambda path: path.stat().st_ctime, reverse=True)
    return [path.parent.name for path in configs if not path.parent.name.startswith(".")]


def hide_run(path: Path) -> None:
    """Take the folder of a run out of sight at once; `remove_deleted` removes what is in it."""
    hidden = path.with_name(f"{_DELETED}{path.name}")
    shutil.rmtree(hidden, ignore_errors=True)
    path.rename(hidden)
    sync_directory(path.parent)


def remove_deleted(root: Path) -> None:
    """Remove what is left of deleted runs, also after a kill; what resists is tried again next time."""
    for hidden in root.glob(f"{_DELETED}*"):
        shutil.rmtree(hidden, ignore_errors=True)


def _broken(path: Path, error: Exception, remedy: str = "restore it, or delete the run") -> BrokenRunError:
    return BrokenRunError(f"{path} cannot be read: {error}; {remedy}")
