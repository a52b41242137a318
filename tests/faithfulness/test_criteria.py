"""Criteria of maps."""

import pytest

from galcnn.faithfulness.criteria import CRITERIA, criterion


def test_the_null_of_every_criterion_lies_on_its_bad_side_of_the_limit():
    for one in CRITERIA:
        assert one.null <= one.limit if one.above else one.null > one.limit
    with pytest.raises(ValueError, match="a criterion among"):
        criterion("beauty")
