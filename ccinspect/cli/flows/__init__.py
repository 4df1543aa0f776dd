"""Commands that list, show, compare, export and repeat flows."""
