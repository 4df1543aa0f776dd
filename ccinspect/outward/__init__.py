"""The way out of a company's network: through the proxy that it has."""
