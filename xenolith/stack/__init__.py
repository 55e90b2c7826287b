"""The embedded stack: the three real services as processes on this machine."""

from xenolith.stack.process import ServiceProcess, StackError
from xenolith.stack.settings import SERVICES, StackSettings
from xenolith.stack.supervisor import Stack

__all__ = ["SERVICES", "ServiceProcess", "Stack", "StackError", "StackSettings"]
