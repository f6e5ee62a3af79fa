"""`python -m opkit.cli` is `opkit`."""

from __future__ import annotations

import sys

from opkit.cli.app import main

sys.exit(main())
