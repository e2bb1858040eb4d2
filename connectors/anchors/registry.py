"""Every kind of anchor, by name. Adding one is one line here (docs/anchors.md).

A kind is loaded when it is used: libraries of clouds and mail take their time.
"""

from __future__ import annotations

from typing import Final

from connectors.anchors.base import AnchorManifest
from connectors.lazy import Lazy

ANCHORS: Final[Lazy[AnchorManifest]] = Lazy(
    {
        "file": "connectors.anchors.file",
        "s3": "connectors.anchors.s3",
        "webhook": "connectors.anchors.webhook",
        "mail": "connectors.anchors.mail",
        "git": "connectors.anchors.git",
        "timestamp": "connectors.anchors.timestamp",
        "witness": "connectors.anchors.witness",
    }
)
