"""What was in the context window, what it cost, and which conversation it belonged to. Pure functions over `wire.model`."""
