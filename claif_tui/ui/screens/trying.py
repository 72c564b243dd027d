"""Trying."""
