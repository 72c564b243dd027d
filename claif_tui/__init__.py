"""claif-tui: build, judge and train on LLM feedback for sentence embeddings, in the terminal."""

__version__ = "0.1.0"
