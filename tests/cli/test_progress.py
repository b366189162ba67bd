from reshore.cli.progress import shown_progress
from reshore.models.progress import Progress, pulling

DIGEST = "sha256:" + "a" * 64


def test_without_a_terminal_there_are_a_few_plain_lines(capsys):
    with shown_progress() as show:
        show(Progress(status="pulling manifest"))
        for completed in range(0, 1001):
            show(pulling(DIGEST, 1000, completed))
        show(Progress(status="success"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "pulling manifest"
    assert lines[1] == f"pulling {'a' * 12}: 0 % of 1.0 kB"
    assert lines[-2] == f"pulling {'a' * 12}: 100 % of 1.0 kB"
    assert lines[-1] == "success"
    assert len(lines) == 8


def test_a_blob_without_bytes_is_no_error(capsys):
    with shown_progress() as show:
        show(pulling(DIGEST, 0, 0))
    assert capsys.readouterr().err.startswith("pulling ")
