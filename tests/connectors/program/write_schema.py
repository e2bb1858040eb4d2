"""``python -m tests.connectors.program.write_schema`` writes docs/program-protocol.schema.json."""

from __future__ import annotations

import json
from pathlib import Path

from connectors.program.protocol import schema

if __name__ == "__main__":
    page = Path(__file__).parents[3] / "docs" / "program-protocol.schema.json"
    page.write_text(json.dumps(schema(), indent=2) + "\n", "utf-8")
