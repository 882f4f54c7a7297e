"""Where the Python of Spark's tests is forked from: what decides is imported once, and not by every worker anew."""

from pyspark.daemon import manager

import pipelines.distributed_decide  # noqa: F401 - for those who are forked

if __name__ == "__main__":
    manager()
