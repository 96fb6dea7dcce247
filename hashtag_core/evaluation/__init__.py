"""Evaluation: ranking, metrics, baselines, retrieval."""
