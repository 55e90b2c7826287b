"""Facts of one call while and after it is served, for everything that looks at calls."""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

__all__ = ["CallRecord", "call_record", "enter_record"]


@dataclass(kw_only=True)
class CallRecord:
    """One call; whoever learns something of it writes it here."""

    method: str
    """Full name, such as ``/xenolith.v1.OracleService/Score``."""
    began: float = field(default_factory=time.perf_counter)
    """When it came, on the clock of `time.perf_counter`."""
    seconds: float = 0.0
    """How long it took, once it has ended."""
    code: str = "OK"
    """Name of the gRPC status with which it ended."""
    caller: str = ""
    """Name of the caller's token; empty where nobody has to show one, and before it was looked at."""
    requests: int = 0
    """Request messages."""
    request_bytes: int = 0
    """Their size."""
    responses: int = 0
    """Answer messages."""
    response_bytes: int = 0
    """Their size."""
    reason: str = ""
    """Why it failed, in words; empty if it did not."""
    refusal: str = ""
    """Why it was refused, in a word for metrics such as ``slots``; empty: as the code says, if at all."""

    @property
    def name(self) -> str:
        """Name of the method alone."""
        return self.method.rpartition("/")[2]

    def end(self) -> None:
        """Note that it has ended now."""
        self.seconds = time.perf_counter() - self.began


_record: ContextVar[CallRecord | None] = ContextVar("xenolith_call_record", default=None)


def call_record() -> CallRecord:
    """Return the record of the call being served; outside of one, a record that nobody reads."""
    return _record.get() or CallRecord(method="")


def enter_record(record: CallRecord) -> None:
    """Make it the record of the call that this task serves."""
    _record.set(record)
