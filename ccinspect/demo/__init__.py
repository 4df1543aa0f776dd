"""A fake provider that real clients cannot tell from the real one, and the demonstration built on it."""
