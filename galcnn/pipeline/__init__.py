"""From files to answers: what the command line and survey pipelines call."""
