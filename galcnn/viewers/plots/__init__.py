"""Figures for screen and print, in one style."""
