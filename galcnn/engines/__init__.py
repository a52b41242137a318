"""Runs on other people's machinery: Dask, LSDB, ceci and LSST's pipelines, one small module each.

All of them stand on `galcnn.pipeline.tasks`: words that travel to a worker, and one function that does
them, by a run (`galcnn.pipeline.runs`) in a folder of its own. `galcnn.pipeline.tasks` splits a
catalog into such runs, and joins their tables. An engine is imported by its name, and needs the
extra of that name: ``pip install 'galcnn[dask]'``. A client imports no Keras; workers do.
"""
