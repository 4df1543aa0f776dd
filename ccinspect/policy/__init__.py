"""What may leave: egress rules, budgets, redaction of bodies."""
