"""Where credentials come from, and the sentinel keys that stand for them."""
