"""Files of variables: what a shell would make of them, where the kubelet accepts them, and what is refused."""

import os
from pathlib import Path

import pytest

from lightship.node.inputs import envfiles
from lightship.node.inputs.sources import MissingError


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("K='v'", "v"),
        ("  \t K='v'", "v"),
        ("# c\n\n   \nA='x'\n#K='no'\nK='v' # why\n", "v"),
        ("A='x'\n", ""),
        ("K=''", ""),
        ("K= 'v'", ""),
        ("A= nonsense\nK='v'", "v"),
        ("K='foo#no comment'", "foo#no comment"),
        ("K='  foo  bar  '", "  foo  bar  "),
        ("K='a=b=c'", "a=b=c"),
        ("K='$HOME ${X} $(Y) \\\\n'", "$HOME ${X} $(Y) \\\\n"),
        ("K='say \"hi\"'", 'say "hi"'),
        ("K='one\n\n  two  \n'\nA='x'", "one\n\n  two  \n"),
        ("A='one\ntwo' # c\nK='v'", "v"),
        ("K='中文 🌍'\r\n", "中文 🌍"),
        ("K='v'\nbroken", "v"),
    ],
)
def test_values(text: str, want: str) -> None:
    assert envfiles.value(text, "K") == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("K = 'v'", "at line 1: whitespace before '=' is not allowed"),
        ("K ='v'", "at line 1: whitespace before '=' is not allowed"),
        ("='v'", "at line 1: empty variable name"),
        ("A='x'\nnonsense", "at line 2: missing '='"),
        ("A='x'\nK=v", "at line 2: value must be enclosed in single quotes"),
        ('K="v"', "at line 1: value must be enclosed in single quotes"),
        ("K=", "at line 1: value must be enclosed in single quotes"),
        ("K='a''b'", "at line 1: unexpected content after closing quote"),
        ("K='a\nb' c", "at line 2: unexpected content after closing quote"),
        ("A='x'\nK='v\nmore\n", "starting at line 2: unclosed single quote"),
    ],
)
def test_what_is_wrong(text: str, want: str) -> None:
    with pytest.raises(ValueError, match=want):
        envfiles.value(text, "K")


def test_only_files_of_the_volume_are_read(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "dir").mkdir(parents=True)
    (volume / "dir/file").write_text("K='v'")
    (volume / "link").symlink_to("dir/file")
    (volume / "out").symlink_to("/etc/hostname")
    os.mkfifo(volume / "fifo")
    assert envfiles.read(volume, "dir/file") == envfiles.read(volume, "link") == "K='v'"
    for path in ("out", "fifo", "dir", "gone", "../volume/../../etc/hostname"):
        with pytest.raises(MissingError, match="couldn't parse env file"):
            envfiles.read(volume, path)
