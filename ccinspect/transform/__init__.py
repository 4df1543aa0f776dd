"""Routes, destinations, translation between dialects, fallbacks. Pure: no sockets, no clocks."""
