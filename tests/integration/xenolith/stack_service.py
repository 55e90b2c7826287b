"""A service as small as can be, for tests of the embedded stack: ``python -m stack_service --port N``."""

import argparse
import asyncio
import os
import sys
import time
from typing import Any

from xenolith import serving
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc


class Oracle(oracle_pb2_grpc.OracleServiceServicer):
    async def Describe(self, request: Any, context: Any) -> Any:
        cache = os.environ.get("XENOLITH_ORACLE_CACHE", "")
        return oracle_pb2.OracleServiceDescribeResponse(service_version=str(os.getpid()), cache_backend=cache)


if __name__ == "__main__":
    if os.environ.get("STACK_TEST_FAILS"):
        sys.exit("no model to be found, says the service")
    time.sleep(float(os.environ.get("STACK_TEST_SLEEPS", "0")))
    parser = serving.add_arguments(argparse.ArgumentParser("stack_service"))
    asyncio.run(serving.serve([Oracle()], serving.settings_from(parser.parse_args()), name="oracle"))
