"""The loss around a solution: slices through the space of the weights, and how rough they are."""
