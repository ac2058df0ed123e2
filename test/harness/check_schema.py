"""Checks JSON texts against a schema: {"schema": path, "values": [...]} on standard input; prints a
JSON list with the first fault of each, or null."""
import json
import sys

import jsonschema

request = json.load(sys.stdin)
with open(request["schema"]) as file:
    schema = json.load(file)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)


def fault(value):
    error = next(validator.iter_errors(value), None)
    return None if error is None else "%s at %s" % (error.message, list(error.path))


print(json.dumps([fault(value) for value in request["values"]]))
