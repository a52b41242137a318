"""Galaxies with a component and without it differ in nothing else."""

import numpy as np
import pytest

from galcnn.simulation import CONCEPTS, concept_pairs


@pytest.mark.parametrize("concept", CONCEPTS)
def test_a_pair_has_the_same_flux_and_place_and_another_shape(concept):
    with_it, without = concept_pairs(concept, 3, seed=2)
    assert len(with_it) == len(without) == 3
    for one, other in zip(with_it, without, strict=True):
        assert one.meta["id"] == other.meta["id"]
        assert one.position == other.position
        r = one.bands.index("r")
        change = one.flux[r].astype(float) - other.flux[r]
        assert np.abs(change).sum() > 0.02 * np.abs(other.flux[r]).sum()
        assert np.sqrt(np.mean(change**2)) > 3 * abs(change.mean())


def test_another_concept_is_refused():
    with pytest.raises(ValueError, match="arms, bar, dust, neighbour, tail"):
        concept_pairs("ring", 3, seed=0)
