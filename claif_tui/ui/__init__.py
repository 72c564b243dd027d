"""The Textual app: what is seen and pressed, no logic of its own."""
