"""Talking to language models: protocol, clients, money and pace."""
