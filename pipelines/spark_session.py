"""A Spark session; where pyspark or Java is missing, one sentence says so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyspark.sql import SparkSession

OLDEST_JAVA = 17
LOCAL = "local[*]"
PANDAS_NOTE = "PySpark does not yet fully support pandas"
"""pyspark 4.3 says so of every pandas from 3.0 on, wherever it is asked for a session or for Arrow."""
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.ui.showConsoleProgress": "false",
    "spark.executorEnv.PYTHONWARNINGS": f"ignore:{PANDAS_NOTE}",
    "spark.executorEnv.OMP_NUM_THREADS": "1",
}
ALONE = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false"}
"""Of a master within this process, which nobody else needs to reach."""
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
MASTER = re.compile(r"local(\[.+\])?|local-cluster\[.+\]|spark://.+|yarn|k8s://.+")
UNDER_SPARK_SUBMIT = "PYSPARK_GATEWAY_PORT"


@contextmanager
def spark_session(master: str | None, settings: Mapping[str, str] = NO_SETTINGS) -> Iterator[SparkSession]:
    """The session that runs already, else one that is stopped at the end.

    Without `master`, that of spark-submit or of `settings`, which stand above ours; on its own, all cores of this machine.
    Raises InputError.
    """
    require_spark()
    asked = master or settings.get("spark.master")
    if asked is not None and not MASTER.fullmatch(asked):
        raise InputError(f'"{asked}" is no master of Spark; give spark://host:7077, yarn, k8s://https://host:443 or local[4]')
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", PANDAS_NOTE, FutureWarning)
        from pyspark.sql import SparkSession

        running = SparkSession.getActiveSession()
        session = _begun(asked, settings) if running is None else running
        try:
            yield session
        finally:
            if running is None:
                session.stop()


def settings_of(told: Sequence[str]) -> dict[str, str]:
    """Of `KEY=VALUE` each; raises InputError for one that is not written so."""
    pairs = {one: one.partition("=") for one in told}
    for one, (key, mark, _) in pairs.items():
        if not (key and mark):
            raise InputError(f'"{one}" is no setting of Spark; write it as KEY=VALUE, such as spark.executor.memory=4g')
    return {key: value for key, _, value in pairs.values()}


def require_spark() -> None:
    """Raises InputError where pyspark is not installed, or no Java of version 17 or later is found."""
    if find_spec("pyspark") is None:
        raise InputError("the engine spark needs pyspark, which is not installed; install it with `pip install 'keepwell[spark]'`")
    java = _java()
    if java is None:
        raise InputError(f"Spark needs Java {OLDEST_JAVA} or later, and none is found; install one, or set JAVA_HOME to where it is")
    version = _java_version(java)
    if version is not None and version < OLDEST_JAVA:
        raise InputError(f"Spark needs Java {OLDEST_JAVA} or later, and {java} is Java {version}; set JAVA_HOME to a later one")


def _java() -> str | None:
    """As Spark looks for it."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java") if home is None else shutil.which(str(Path(home) / "bin" / "java"))


def _java_version(java: str) -> int | None:
    """17 of `openjdk version "17.0.15"`, 8 of `java version "1.8.0_392"`; None where it says nothing of the kind."""
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - the Java that Spark will run
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return None if found is None else int(found.group(1))


def _begun(master: str | None, settings: Mapping[str, str]) -> SparkSession:
    from pyspark.core.context import Py4JError  # type: ignore[attr-defined]  # it is py4j's, which comes with pyspark
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = settings.get("spark.pyspark.python") or os.environ.get("PYSPARK_PYTHON") or sys.executable
    wanted = LOCAL if master is None and UNDER_SPARK_SUBMIT not in os.environ else master
    builder = SparkSession.builder.appName("keepwell")
    if wanted is not None:
        builder = builder.master(wanted)
    local = wanted is not None and wanted.startswith("local")
    for name, value in ((SETTINGS | ALONE if local else SETTINGS) | dict(settings)).items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except (Py4JError, PySparkException):
        raise InputError(f'Spark does not start with the master "{wanted}"; its own messages above say why') from None
    session.sparkContext.setLogLevel("ERROR")
    return session
