"""Every kind of anchor, by name. Adding one is one line here (docs/anchors.md)."""

from __future__ import annotations

from connectors.anchors import file, git, mail, s3, timestamp, webhook, witness
from connectors.anchors.base import AnchorManifest

ANCHORS: dict[str, AnchorManifest] = {
    manifest.kind: manifest
    for manifest in (
        file.MANIFEST,
        s3.MANIFEST,
        webhook.MANIFEST,
        mail.MANIFEST,
        git.MANIFEST,
        timestamp.MANIFEST,
        witness.MANIFEST,
    )
}
