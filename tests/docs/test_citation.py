"""CITATION.cff has what the Citation File Format 1.2.0 asks for."""

import jsonschema
import yaml

import fmnist
from tests.conftest import CHECKOUT

PERSONS = {
    "type": "array",
    "minItems": 1,
    "items": {
        "anyOf": [{"required": ["name"]}, {"required": ["family-names", "given-names"]}],
        "additionalProperties": {"type": "string"},
    },
}
# The part of the format's schema that concerns the keys used.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["cff-version", "message", "title", "authors"],
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "message": {"type": "string"},
        "title": {"type": "string"},
        "type": {"enum": ["software", "dataset"]},
        "authors": PERSONS,
        "version": {"type": "string"},
        "license": {"const": "MIT"},
        "keywords": {"type": "array", "items": {"type": "string"}},
        "references": {
            "type": "array",
            "items": {
                "required": ["authors", "title", "type"],
                "properties": {"authors": PERSONS, "year": {"type": "integer"}},
            },
        },
    },
}


def test_the_citation_is_one_and_of_this_version() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    jsonschema.validate(citation, SCHEMA)
    assert citation["version"] == fmnist.__version__
