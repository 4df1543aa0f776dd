"""Commands about this machine: service, trust, agents, shells, the store's files, jails, and what is wrong."""
