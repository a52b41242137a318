"""Runs on other people's machinery: Dask, LSDB, ceci and LSST's pipelines, one small module each.

All of them send the tasks of `galcnn.pipeline.tasks`, which splits a catalog and joins the tables. An
engine is imported by its name, and needs the extra of that name: ``pip install 'galcnn[dask]'``. A
client imports no Keras; workers do.
"""
