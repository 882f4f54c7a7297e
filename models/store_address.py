"""The URL of a store whose password lies in a file of its own, as secrets are given to containers."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit

from models.errors import InputError

VARIABLE = "KEEPWELL_STORE_PASSWORD_FILE"


def with_password(url: str, file: str | None) -> str:
    """`url` where no file is named; else with what stands in it, without the white space around it, as its password.

    Raises InputError where the file cannot be read or is empty, and for a URL without a user or with a password of its own.
    """
    if not file:
        return url
    try:
        password = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(f"{VARIABLE}: {file} cannot be read ({getattr(fault, 'strerror', None) or 'not UTF-8'})") from None
    parts = urlsplit(url)
    user, separator, place = parts.netloc.rpartition("@")
    if not password or not separator or not user or ":" in user:
        why = f"{file} is empty" if not password else "the URL of the store has to name a user, and no password"
        raise InputError(f"{VARIABLE}: {why}; give one such as postgresql://keepwell@host/database")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}").geturl()
