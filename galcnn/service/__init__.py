"""The command line as a service for other languages: answers, manifests and requests in JSON.

No Keras is imported here: a model is called, not loaded. The contract stands in docs/service.md, and
as JSON Schema beside this file.
"""

from galcnn.service.answer import EXIT_CODES, SCHEMAS, JsonAnswer, error_record, plain, schema

__all__ = ["EXIT_CODES", "SCHEMAS", "JsonAnswer", "error_record", "plain", "schema"]
