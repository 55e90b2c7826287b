"""Seeds: every random number of a run derives from (run seed, purpose, step, group, member) by hashing."""

import hashlib

__all__ = ["derive_seed"]


def derive_seed(*path: int | str) -> int:
    """Hash a path of integers and words to a seed.

    Parameters
    ----------
    *path
        What the seed is for, for example ``(run_seed, "sample", step, group, member)``. Equal paths give
        equal seeds on every machine; paths that differ anywhere give unrelated ones.

    Returns
    -------
    int
        In ``[0, 2**63)``, so that it fits signed and unsigned 64-bit fields alike.
    """
    # The type tag keeps 1 and "1" apart, the separator keeps ("ab", "c") and ("a", "bc") apart.
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in path)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
