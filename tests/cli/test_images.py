import base64

import pytest

from reshore.cli.failure import Failure
from reshore.cli.images import read_images

PNG = b"\x89PNG not really"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a cat.png"
    path.write_bytes(PNG)
    return path


def _read(text, sees=True):
    return read_images(text, sees=lambda: sees)


def _escaped(path):
    return str(path).replace(" ", r"\ ")


@pytest.mark.parametrize("write", [_escaped, lambda p: f"'{p}'", lambda p: f'"{p}"'])
def test_a_path_becomes_an_image_however_terminals_write_it(picture, write):
    said = _read(f"what is {write(picture)}?")
    assert said.text == "what is ?"
    assert said.images == (base64.b64encode(PNG).decode(),)


def test_several_images_keep_their_order(tmp_path):
    for name in ("b.jpg", "a.WEBP"):
        (tmp_path / name).write_bytes(name.encode())
    said = _read(f"{tmp_path}/b.jpg {tmp_path}/a.WEBP compare")
    assert [base64.b64decode(image) for image in said.images] == [b"b.jpg", b"a.WEBP"]
    assert said.text == "compare"


def test_a_path_may_begin_at_home_or_here(tmp_path, monkeypatch):
    (tmp_path / "x.jpeg").write_bytes(PNG)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert len(_read("~/x.jpeg ./x.jpeg").images) == 2


@pytest.mark.parametrize(
    "text", ["cat.png", "see https://example.com/cat.png", "a/b.png", "/notes.txt", "./cat.pngs"]
)
def test_what_is_no_path_of_an_image_is_text(text):
    def sees():
        raise AssertionError("nobody had to be asked")

    assert read_images(text, sees=sees).text == text


def test_a_missing_image_is_an_error_that_names_it():
    with pytest.raises(Failure, match=r"/nowhere/cat\.png"):
        _read("/nowhere/cat.png")


def test_a_model_that_does_not_see_gets_the_path_and_the_person_a_word(picture, capsys):
    text = f"resize '{picture}'"
    said = _read(text, sees=False)
    assert (said.text, said.images) == (text, ())
    assert "does not see images" in capsys.readouterr().err


def test_a_path_of_no_file_is_not_worth_a_word_to_a_model_that_does_not_see(capsys):
    assert _read("/nowhere/cat.png", sees=False).text == "/nowhere/cat.png"
    assert capsys.readouterr().err == ""
