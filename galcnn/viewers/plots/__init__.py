"""Figures for eyes and print, with matplotlib's `Figure` alone: no window, no global state."""
