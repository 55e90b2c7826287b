"""Guide a generative model toward crystals that nobody has listed yet and that are likely to exist."""

from xenolith.client import AsyncClient, Client
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import XenolithError
from xenolith.old_names import keep_old_names

__all__ = ["AsyncClient", "Client", "Crystal", "CrystalBatch", "XenolithError"]

keep_old_names({"xenolith.wire": "xenolith.contract.wire"})
