"""Evidence packs: ordered, made, handed out, checked."""
