"""Where things are in the repository."""

from __future__ import annotations

from pathlib import Path

#: The checkout.
ROOT = Path(__file__).parents[2]
#: Challenge pages of all vendors.
CHALLENGES = ROOT / "tests/fixtures/challenges"
