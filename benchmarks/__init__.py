"""Reproducible figures: every number in docs/performance.md is printed by a module here."""
