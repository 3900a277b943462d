"""What the tests share is tested where a mistake in it would show once in many runs."""

from __future__ import annotations

from pathlib import Path

from tests.support import whole_lines


def test_a_line_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    """A log was read in the middle of a line of JSON, once in a run of the whole suite."""
    log = tmp_path / "daprd.log"
    log.write_text('{"msg": "one"}\n\n{"msg": "two\u2028"}\n{"app_id":"app","i')

    assert ['{"msg": "one"}', "", '{"msg": "two\u2028"}'] == whole_lines(log)
