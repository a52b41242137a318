"""What a path is and what is installed, in a few lines; what networks cost (in `networks`, with Keras)."""

from galcnn.information.paths import describe_installation, describe_path

__all__ = ["describe_installation", "describe_path"]
