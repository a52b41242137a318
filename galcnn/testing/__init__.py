"""Conformance tests for the authors of plugins: does it do all that galcnn relies on?"""

from galcnn.testing.surveys import check_survey

__all__ = ["check_survey"]
