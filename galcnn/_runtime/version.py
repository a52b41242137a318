"""The version of galcnn, stated here alone: pyproject.toml reads it without importing anything."""

from __future__ import annotations

__version__ = "0.1.0"
