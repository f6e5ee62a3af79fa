"""initial"""

from __future__ import annotations

revision = "0001"
