"""The scripted conversations of tests/talk: both ends of the wire, see tests/support/talk.py."""
import pytest

import talk
from servers import ROOT
from talk import Talk

SCRIPTS = sorted((ROOT / "tests/talk").glob("*.talk"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_talk(path, start_volvox):
    Talk(path, start_volvox).run()


def test_a_script_that_is_wrong_fails(tmp_path, start_volvox, monkeypatch):
    """A test must be able to fail."""
    monkeypatch.setattr(talk, "SECONDS", 1)
    for wrong in ('client> query "select 1"\nserver> query "select 2"\n',
                  'client> query "do 1"\nserver> query "do 1"\nserver< ok in_trans\nclient< ok\n',
                  'client> query "do 1"\nserver> query "do 1"\nserver< ok\nclient< ok\nexpect pins transaction\n'):
        path = tmp_path / "wrong.talk"
        path.write_text(wrong)
        with pytest.raises(AssertionError, match="wrong.talk"):
            Talk(path, start_volvox).run()
