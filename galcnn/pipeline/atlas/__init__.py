"""The atlas of a network: pages that show what it has learned."""
