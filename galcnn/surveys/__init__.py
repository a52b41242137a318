"""Sky position -> Cutout: one survey a file, each a plugin of the group `galcnn.surveys`."""
