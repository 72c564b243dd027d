"""Evaluation of sentence vectors: data, STS, transfer tasks, baselines. Nothing here trains an encoder."""
