"""The network itself: filters, activations, class models, boundaries, DeepDream."""
