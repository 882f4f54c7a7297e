# ruff: noqa: N818 - the names say what happened, as a sentence in an `except` clause would
"""The exceptions that Keepwell raises on purpose, drawn as one tree."""


class KeepwellError(Exception):
    """Root of the tree; its message is one sentence that a user can act on."""


class InputError(KeepwellError):
    """A log, a declaration or an argument that cannot be used; the command line exits with 2."""


class NotEnoughData(KeepwellError):
    """Too few members, churned or retained, for what was asked."""


class ModelRefused(KeepwellError):
    """A model whose definitions or golden members disagree with this code, or that failed its gate."""


class NotReplayable(KeepwellError):
    """A decision whose basis, or whose plan, was not kept."""


class UnknownMember(KeepwellError):
    """A member id that neither the store nor the log knows."""


class UnknownExperiment(KeepwellError):
    """An id that is neither declared nor that of an intervention or of the global control."""


class RunHeld(KeepwellError):
    """Another nightly run is under way; nothing was done. The command line exits with 4."""


class SecretLocked(KeepwellError):
    """A secret in the store that none of the keys at hand opens; it stays there until one does."""


class StoreUnavailable(KeepwellError):
    """The store did not answer; nothing was half-written."""


class StoreOutdated(StoreUnavailable):
    """The store stands at another revision of its schema than this release reads and writes."""


class RegistryUnavailable(KeepwellError):
    """The registry of models cannot be asked."""


class NoChampion(KeepwellError):
    """No registered Engine carries the alias `champion` yet."""
