"""Internal utilities: atomic writing, seeding, progress bars, HTML for notebooks, the version."""
