"""The one reader of structure files: for the SDK, the terminal program, references and training data.

Three steps that know nothing of each other: bytes to text (`content`), text to blocks, frames or rows, and
one of these to a crystal with notes. A damaged one costs itself alone.
"""

from xenolith.convert.reading.content import Text, decode
from xenolith.convert.reading.found import Found
from xenolith.convert.reading.kinds import KINDS, Kind, kind_of, read_file

__all__ = ["KINDS", "Found", "Kind", "Text", "decode", "kind_of", "read_file"]
