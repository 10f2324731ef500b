"""What EPUB, DOCX and ODT have in common: XML files in a ZIP file, read with limits and without entities, DTDs or network."""

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from rodna.corpus.extractors import Limits, Rejected
from rodna.corpus.extractors.unpacking import Budget


class UnreadableError(Exception):
    """The file is of no use; `rejected` says why."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.detail)
        self.rejected = rejected


class Package:
    """A ZIP file whose members are read as a whole, each and all within limits.

    Raises:
        UnreadableError: it cannot be opened.
        TooMuchError: on reading, more came out of it than its budget allows.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.size_bytes = path.stat().st_size
        self._limits = limits
        self._budget = limits.budget or Budget(self.size_bytes, limits.max_unpacked_bytes)
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, EOFError) as error:
            raise UnreadableError(Rejected("damaged", f"the packed file cannot be opened ({error})", self.size_bytes)) from error
        self.names = frozenset(self._archive.namelist())

    def __enter__(self) -> "Package":
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def read(self, name: str) -> bytes:
        """Return what a member holds.

        Raises:
            UnreadableError: it is missing, encrypted, damaged or too large.
        """
        try:
            with self._archive.open(name) as stream:
                data = stream.read(self._limits.max_page_bytes + 1)
        except KeyError as error:
            raise self.refuse("damaged", f"{name} is missing") from error
        except RuntimeError as error:  # zipfile's way to ask for a password; it has no class of its own
            raise self.refuse("password_protected", "save it without a password") from error
        except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, struct.error) as error:
            raise self.refuse("damaged", f"{name} is broken: {error}") from error
        if len(data) > self._limits.max_page_bytes:
            raise self.refuse(
                "too_large_unpacked", f"{name} has more than {self._limits.max_page_bytes:,} bytes (corpus.extract.max_page_bytes)"
            )
        self._budget.take(len(data))
        return data

    def xml(self, name: str) -> Any:
        """Return a member's root element.

        Raises:
            UnreadableError: it cannot be read, or is no XML.
        """
        root = safe_xml(self.read(name))
        if root is None:
            raise self.refuse("damaged", f"{name} is no XML")
        return root

    def refuse(self, reason: str, detail: str) -> UnreadableError:
        return UnreadableError(Rejected(reason, detail, self.size_bytes))


def safe_xml(data: bytes) -> Any:
    """Return the root element of XML, None where it is none; entities stay unexpanded, nothing outside is ever opened."""
    import lxml.etree as etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, recover=True, remove_comments=True
    )
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def local(node: Any) -> str:
    """Return an element's name without its namespace, "" for comments and entities."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def attribute(node: Any, name: str) -> str:
    """Return an attribute by its name without namespace, "" where it is missing."""
    return next((value for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def core_meta(package: Package, name: str) -> dict[str, Any]:
    """Return title, author and language as the Dublin Core elements of a member say; none where it is missing or broken."""
    if name not in package.names:
        return {}
    try:
        root = package.xml(name)
    except UnreadableError:
        return {}
    wanted = {"title": "title", "creator": "author", "language": "language"}
    meta: dict[str, Any] = {}
    for node in root.iter():
        key = wanted.get(local(node))
        if key and key not in meta and node.text and "dc/elements" in node.tag:
            meta[key] = " ".join(node.text.split())[:500]
    return {key: value for key, value in meta.items() if value}
