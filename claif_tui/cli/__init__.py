"""The headless twin of the app: one command per verb, no logic of its own."""
