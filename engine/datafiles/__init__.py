"""How training files are read: bytes, layouts, labels, snapshots. What is made of them is in ``engine.data``."""
