"""The programs of docs/uplift.md run, and find what is planted in their table."""

import re
import runpy
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "docs" / "uplift.md").read_text(encoding="utf-8")


def test_the_coupon_tells_members_apart_and_the_call_does_not(tmp_path):
    program = tmp_path / "uplift.py"
    program.write_text("\n".join(re.findall(r"^```python\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)), encoding="utf-8")
    told = runpy.run_path(str(program))
    assert told["model"].interventions == ("call", "coupon")
    assert told["qini"]["coupon"].lower > 0
    assert told["qini"]["call"].lower < 0 < told["qini"]["call"].upper
