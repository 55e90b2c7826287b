"""The test of being a crystal: periodic in all three directions."""

from collections.abc import Sequence

from xenolith.errors import ReadError

__all__ = ["expect_periodic"]


def expect_periodic(flags: Sequence[bool], taken: bool) -> str:
    """Return a note if atoms that say that they are not periodic are taken as a crystal all the same.

    Parameters
    ----------
    flags
        Whether each direction is periodic (pbc).
    taken
        Whether such atoms are to be taken.

    Raises
    ------
    ReadError
        They are not.
    """
    if all(flags):
        return ""
    told = " ".join("T" if flag else "F" for flag in flags)
    kind = "a molecule or a cluster" if not any(flags) else "a slab or a wire"
    if not taken:
        raise ReadError(
            f"is not periodic (pbc {told}): {kind} is no crystal. To score it as one, say so: --periodic, or"
            " periodic=True"
        )
    return f"pbc {told} is taken as periodic in all directions, as asked for"
