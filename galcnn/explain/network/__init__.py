"""Views of the network itself: filters, activations, class models, decision boundaries, DeepDream."""
