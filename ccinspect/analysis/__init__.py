"""Analysis at work: from captured flows to what is known of each model call, and the answers to questions about them.

worker      the analyst's process                                   (its own process, started by the daemon)
analyst     bringing `analysis.db` up to date with the store        (worker; command line when no daemon runs)
query       questions and their answers                             (command line)
"""
