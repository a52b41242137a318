"""What every room may use: the version of galcnn."""
