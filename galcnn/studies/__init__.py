"""What runs many steps: the demo, later comparisons and ablations."""
