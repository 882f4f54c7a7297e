"""Errors of models as clients read them: what is wrong, and no place of this machine."""

from pathlib import Path

import pytest

from serving.places import IN_THE_LOG, without_places

CACHE = Path("/srv/Fan Club/.keepwell/model-cache")
SQLITE, REMOTE = "sqlite:////srv/Fan Club/.keepwell/mlflow.db", "https://mlflow.internal:5000/base"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            f'no version of "keepwell" is the champion in {SQLITE}; `keepwell promote` makes one',
            f"champion in {IN_THE_LOG}; `keepwell promote`",
        ),
        (f"the registry {REMOTE} cannot be asked (it rests)", f"the registry {IN_THE_LOG} cannot be asked (it rests)"),
        ("/srv/Fan Club/.keepwell/mlflow.db is no MLflow database; give", f"{IN_THE_LOG} is no MLflow database; give"),
        (f"{CACHE}/0f3a/engine cannot be written", f"{IN_THE_LOG} cannot be written"),
        ('the files of version "2" are no longer in file:///data/models/0f3a; train again', f"no longer in {IN_THE_LOG}; train again"),
        ("(unable to open '/var/lib/x.db')", f"(unable to open '{IN_THE_LOG}')"),
        ("with url: /api/2.0/mlflow (host=/run/socket)", f"with url: {IN_THE_LOG} (host={IN_THE_LOG})"),
        ("[Errno 28] No space left on device: '/.data/base/x'", f"No space left on device: '{IN_THE_LOG}'"),
        ("gopher://host/base", IN_THE_LOG),
        (
            "HTTPConnectionPool(host='files.internal', port=9000): Max retries exceeded",
            f"(host='{IN_THE_LOG}', port={IN_THE_LOG}): Max retries exceeded",
        ),
        ("HTTPConnection(host=\"files.internal\", port=80): Failed to resolve 'files.internal' (", f"Failed to resolve '{IN_THE_LOG}' ("),
        ("connection to server at 10.0.3.17:9000 was lost", f"server at {IN_THE_LOG} was lost"),
    ],
)
def test_a_place_is_left_to_the_log(text, shown):
    told = without_places(text, REMOTE if REMOTE in text else SQLITE, CACHE)
    assert shown in told
    assert not any(word in told for word in ("srv", "Fan Club", "internal", "/data", "/var", "/run", "://", "9000", "10.0"))


@pytest.mark.parametrize(
    "text",
    [
        'version "2" is not what was registered; train again',
        "golden members: arrays of [(5, 3)] for 5 members where [(5, 4)] belong; and/or 3 / 4; train again",
        'the copy of version "1" is not what was registered; it is fetched anew where the registry answers',
        "give the URI of an MLflow that runs; made with Python 3.11.7",
    ],
)
def test_a_reason_without_places_stays_as_it_is(text):
    assert without_places(text, SQLITE, CACHE) == text
