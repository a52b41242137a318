"""From files to answers: what the command line and survey pipelines call."""

from galcnn.pipeline.explaining import explain_files, explainers_by_name

__all__ = ["explain_files", "explainers_by_name"]
