"""Errors a user can act on: what happened, where, and how to fix it."""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class RodnaError(Exception):
    """A problem the user can fix. The command line prints it without a traceback and exits with 1.

    Args:
        what: what is wrong, with the actual values.
        where: file, line, option or document it was found in.
        fix: the likely repair, as an instruction.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class ConfigError(RodnaError):
    """The configuration does not validate; the message lists every problem at once."""


class ArtifactError(RodnaError):
    """An artifact is missing, incomplete, damaged or of the wrong kind."""


class CorpusError(RodnaError):
    """The text cannot become a corpus."""


class TokenizerError(RodnaError):
    """The tokenizer cannot be trained, loaded or used."""


class ModelError(RodnaError):
    """The model configuration or checkpoint cannot be used."""


class PlanError(RodnaError):
    """No plan fits the corpus and the machine."""


class TrainError(RodnaError):
    """Training cannot start or go on."""


class StateError(TrainError):
    """What a training left on the disk is damaged, or of another training: no settings are guilty of that."""


class EvaluationError(RodnaError):
    """The evaluation cannot be carried out."""


class CannotScoreError(EvaluationError):
    """The model writes text, but does not say what a given text costs."""


class DiskError(RodnaError):
    """The disk is full, read-only or otherwise refuses to be written."""


_DISK_REASONS = {
    errno.ENOSPC: ("cannot write: the disk is full", "free some space, then run the same command again: finished stages are kept"),
    errno.EDQUOT: ("cannot write: the disk quota is used up", "free some space, then run the same command again: finished stages are kept"),
    errno.EFBIG: ("cannot write: the file is larger than this system allows", "raise the limit (`ulimit -f`), or use another disk"),
    errno.EROFS: ("cannot write: the file system is read-only", "choose a workspace on a disk that can be written"),
    errno.EACCES: ("permission denied", "give yourself the right to read or write it, or choose another folder"),
    errno.EPERM: ("permission denied", "give yourself the right to read or write it, or choose another folder"),
}


@contextmanager
def explain_disk_errors(path: Path) -> Generator[None]:
    """Turn an `OSError` about space or permission, raised while writing `path`, into a `DiskError`.

    The error names the file the system named; where it named none, `path`.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_REASONS:
            raise
        what, fix = _DISK_REASONS[error.errno]
        where = error.filename if isinstance(error.filename, str) else str(path)
        raise DiskError(what, where=where, fix=fix) from error
