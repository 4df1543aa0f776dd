"""Known-good requests kept as templates: saved, audited, filled."""
