"""Data and work without any interface: no textual, no rich, no torch, no printing."""
