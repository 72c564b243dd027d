"""The browser's door to rating: who may come in, and one child process for each visitor. No screens, no database."""
