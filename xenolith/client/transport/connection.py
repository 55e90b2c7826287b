"""How to reach services that were started with this process's environment, or with the same as it."""

import os
from pathlib import Path
from typing import Any

from xenolith.files import read_text

__all__ = ["connection_from_environment"]


def connection_from_environment() -> dict[str, Any]:
    """Return token and certificates that the environment names, as `xenolith.client.Options` takes them.

    They are the variables that services read too: XENOLITH_TOKEN or XENOLITH_TOKEN_FILE, and XENOLITH_TLS_CA
    with XENOLITH_TLS_CERT and XENOLITH_TLS_KEY.
    """
    found: dict[str, Any] = {}
    if token := os.environ.get("XENOLITH_TOKEN"):
        found["token"] = token
    elif file := os.environ.get("XENOLITH_TOKEN_FILE"):
        found["token"] = read_text(Path(file)).strip()
    if authority := os.environ.get("XENOLITH_TLS_CA"):
        found["tls_ca"] = Path(authority)
        certificate, key = os.environ.get("XENOLITH_TLS_CERT"), os.environ.get("XENOLITH_TLS_KEY")
        if certificate and key:
            found |= {"tls_cert": Path(certificate), "tls_key": Path(key)}
    return found
