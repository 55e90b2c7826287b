"""The oracle: measures crystals (validity, stability, novelty, uniqueness, diversity)."""

import os

# gRPC reads it once, when it is first imported; xenolith.serving.log says why.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from xenolith.old_names import keep_old_names

keep_old_names(
    {
        "oracle_svc.calculators.mace_convert": "oracle_svc.calculators.mace.convert",
        "oracle_svc.calculators.mace_fetch": "oracle_svc.calculators.mace.fetch",
        "oracle_svc.calculators.validate": "oracle_svc.calculators.validation.validate",
        "oracle_svc.jobs": "oracle_svc.pools.jobs",
        "oracle_svc.jobs.run": "oracle_svc.pools.jobs.run",
        "oracle_svc.references": "oracle_svc.known.build",
        "oracle_svc.references.build": "oracle_svc.known.build.from_tables",
        "oracle_svc.references.hull_build": "oracle_svc.known.build.hulls",
    }
)
