"""``python -m xenolith.cli``."""

import sys

from xenolith.cli import main

sys.exit(main())
