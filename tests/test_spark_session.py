"""Spark is found, or one sentence says what is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import InputError
from pipelines.spark_session import require_spark, spark_session

ROOT = Path(__file__).parents[1]


def java_of_version(text, folder):
    """An executable that tells its version as Java does."""
    java = folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    java.chmod(0o755)
    return folder


def test_the_session_that_runs_is_used_and_left_running(spark):
    with spark_session(None) as session:
        assert session is spark
    assert spark.range(3).count() == 3


def test_without_java_one_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="Spark needs Java 17 or later, and none is found; install one, or set JAVA_HOME"):
        require_spark()


@pytest.mark.parametrize(("text", "version"), [('java version "1.8.0_392"', 8), ('openjdk version "11.0.21" 2023-10-17', 11)])
def test_a_java_that_is_too_old_is_named_with_its_version(text, version, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(java_of_version(text, tmp_path)))
    with pytest.raises(InputError, match=f"Java 17 or later, and {tmp_path}/bin/java is Java {version}"):
        require_spark()


@pytest.mark.parametrize("text", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "25" 2025-09-16', "a Java of another kind"])
def test_a_java_that_is_new_enough_will_do(text, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(java_of_version(text, tmp_path)))
    require_spark()


def test_without_pyspark_one_sentence_says_how_to_install_it():
    """In an interpreter that sees the project and the standard library alone."""
    asked = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pipelines.spark_session import require_spark; require_spark()"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", asked], capture_output=True, text=True, check=False)
    assert "InputError: the engine spark needs pyspark, which is not installed; install it with `pip install" in run.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is told that the parent has gone")
def test_what_a_killed_run_has_started_ends_with_it():
    """As a master or a worker of a benchmark; its pipe is closed when it is gone."""
    run = """
import subprocess, sys, time
from tests.spark_cluster import ending_with_parent
subprocess.Popen(["sleep", "600"], start_new_session=True, preexec_fn=ending_with_parent())
print(flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", run], cwd=ROOT, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        running.kill()
        assert running.stdout.read() == b""
