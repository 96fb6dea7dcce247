"""Plots, and pictures as HTML."""
