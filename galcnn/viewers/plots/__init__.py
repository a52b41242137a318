"""Figures for screen and print in a common style."""
