"""Commands that show what was understood: contexts, conversations, cache, reports, limits."""
