"""What agents, shells and trust stores of this machine need of us: said, written into their files, taken out again."""
