"""Croissant metadata: what a data set's files are and hold, for programs.

Reference: MLCommons Croissant format specification, version 1.1, docs.mlcommons.org/croissant.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rodna.publish.data_files import FIELDS

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "description": {"@container": "@language"}, "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "name": {"@container": "@language"}, "parentField": "cr:parentField", "path": "cr:path", "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "samplingRate": "cr:samplingRate", "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
"""The context that the specification gives, term by term."""


def croissant_of(
    *,
    name: str,
    description: str,
    language: str,
    digest: str,
    created: str,
    licences: Sequence[str],
    files: Sequence[Mapping[str, Any]],
    cleaning: str,
    draft: bool,
) -> dict[str, Any]:
    """Return the JSON-LD of a data set.

    Args:
        name: of the data set.
        description: what it is, in a sentence or two.
        language: BCP-47 tag.
        digest: of the corpus.
        created: ISO 8601 time.
        licences: addresses, or names where there are none.
        files: what `write_splits` returned.
        cleaning: how the text was prepared, in words.
        draft: not to be published; says so.
    """
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        "description": description,
        "creativeWorkStatus": "Draft" if draft else "Published",
        "inLanguage": language,
        "version": f"1.0.0+{digest[:8]}",
        "identifier": f"sha256:{digest}",
        "dateCreated": created,
        "datePublished": created[:10],
        "license": list(licences) or ["unknown"],
        "isLiveDataset": False,
        "citeAs": f"{name}, made with rodna, digest {digest[:16]}, {created[:10]}",
        "rai:dataPreprocessingProtocol": cleaning,
        "distribution": [_file(file) for file in files],
        "recordSet": [_records(file) for file in files],
    }


def _file(file: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file["path"],
        "name": file["path"],
        "description": f"The {file['split']} documents.",
        "contentUrl": file["path"],
        "contentSize": f"{file['size_bytes']} B",
        "encodingFormat": "application/x-parquet",
        "sha256": file["sha256"],
    }


def _records(file: Mapping[str, Any]) -> dict[str, Any]:
    split = file["split"]
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"One record for each of the {file['documents']} {split} documents.",
        "key": {"@id": f"{split}/id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{split}/{field}",
                "name": field,
                "description": says,
                "dataType": "sc:Text",
                "source": {"fileObject": {"@id": file["path"]}, "extract": {"column": field}},
            }
            for field, says in FIELDS.items()
        ],
    }
