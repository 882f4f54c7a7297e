"""Secrets sealed with a key that the store does not hold (Fernet: AES-128-CBC, and HMAC-SHA256 over all of it)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from models.errors import InputError, SecretLocked

VARIABLE = "KEEPWELL_SECRET_KEY"
KEY_FILE = "secret.key"
OPEN_PREFIX = "whsec_"
"""With which a secret begins that is not sealed, as Standard Webhooks has it; a sealed one begins with Fernet's version."""


def new_key() -> str:
    return Fernet.generate_key().decode()


def is_sealed(stored: str) -> bool:
    return not stored.startswith(OPEN_PREFIX)


@dataclass(frozen=True)
class Seal:
    """The keys: the first seals, each opens. They are `given`, else lines of `file`, which is read anew each time it is needed.

    With neither nothing can be sealed; the store of a server has no file beside it that all its processes would read.
    """

    given: tuple[str, ...] = field(default=(), repr=False)
    file: Path | None = None

    @classmethod
    def of(cls, told: str | None, store_url: str, state: Path) -> Self:
        """`told` by the environment, keys by commas; a SQLite store else has a file in the folder `state`. Raises InputError."""
        given = tuple(key.strip() for key in (told or "").split(",") if key.strip())
        for place, key in enumerate(given, start=1):
            _checked(key, f"{VARIABLE}: key {place} of {len(given)}")
        return cls(given, state / KEY_FILE if not given and store_url.startswith("sqlite") else None)

    @property
    def keys(self) -> tuple[str, ...]:
        """Raises SecretLocked for a file that cannot be read."""
        if self.given or self.file is None or not self.file.exists():
            return self.given
        try:
            lines = self.file.read_text("ascii").split()
        except (OSError, UnicodeDecodeError) as fault:
            raise SecretLocked(f"{self.file} cannot be read ({type(fault).__name__}), which holds the key of the secrets") from None
        for place, key in enumerate(lines, start=1):
            _checked(key, f"{self.file}: line {place}")
        return tuple(lines)

    def opened(self, stored: str) -> str:
        """A secret as it was before it was sealed; one that never was as it is. Raises SecretLocked."""
        if not is_sealed(stored):
            return stored
        try:
            return self._cipher().decrypt(stored).decode()
        except InvalidToken:
            raise SecretLocked(f"it was sealed with another key than {self._where}; put that key back beside the others") from None

    def sealed(self, secret: str) -> str:
        """By the first key; raises SecretLocked where there is none."""
        return self._cipher().encrypt(secret.encode()).decode()

    def resealed(self, stored: str) -> str:
        """By the first key, whichever it was sealed with before, if it was. Raises SecretLocked."""
        return self.sealed(self.opened(stored))

    def make_key(self, others: Sequence[str]) -> None:
        """In the file where there is none yet, of several processes by one. `others` are secrets in the store.

        Raises SecretLocked where one of those is sealed, whose key must have been in that file, and InputError without a file.
        """
        if self.keys:
            return
        if self.file is None:
            raise InputError(f"{VARIABLE} is not set, which seals secrets in the store of a server; `keepwell webhooks key` prints a key")
        if any(is_sealed(stored) for stored in others):
            raise SecretLocked(f"{self.file} is missing, which holds the key that the secrets in the store were sealed with; put it back")
        _write(self.file, (new_key(),), anew=True)

    def with_new_key(self) -> Self:
        """The file has a new key before the others; keys that are given stay as they are."""
        if self.file is not None:
            _write(self.file, (new_key(), *self.keys))
        return self

    def with_first_key_alone(self) -> None:
        if self.file is not None:
            _write(self.file, self.keys[:1])

    def _cipher(self) -> MultiFernet:
        keys = self.keys
        if not keys:
            raise SecretLocked(f"no key is known; it belongs into {self._where}")
        return MultiFernet([Fernet(key) for key in keys])

    @property
    def _where(self) -> str:
        return VARIABLE if self.file is None else str(self.file)


def _checked(key: str, where: str) -> None:
    """The key itself is nowhere told."""
    try:
        Fernet(key)
    except ValueError:
        raise InputError(f"{where} is no key; `keepwell webhooks key` prints one") from None


def _write(file: Path, keys: Sequence[str], *, anew: bool = False) -> None:
    """For its owner alone, whole or not at all, on the disk when it returns; `anew` leaves one alone that was made meanwhile."""
    file.parent.mkdir(parents=True, exist_ok=True)
    opened, name = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    draft = Path(name)
    with os.fdopen(opened, "w") as written:
        written.write("".join(f"{key}\n" for key in keys))
        written.flush()
        os.fsync(written.fileno())
    if anew:
        _keep_first(draft, file)
    else:
        draft.replace(file)


def _keep_first(draft: Path, file: Path) -> None:
    try:
        file.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
