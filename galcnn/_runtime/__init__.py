"""Needed everywhere, not public: atomic writing, seeding, progress, HTML of notebooks, the version."""
