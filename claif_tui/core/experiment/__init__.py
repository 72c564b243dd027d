"""Grids of systems x backbones x seeds, from one file to the papers' tables."""
