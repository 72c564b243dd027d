"""The engine: models that run in a child process. It never imports the application."""
