"""The name of the model in a form, wherever it stands and however it arrives."""

import pytest

from reshore.errors import RequestError
from reshore.server.form import ModelField

TYPE = b'multipart/form-data; boundary="a-Boundary"'
FILE = b'Content-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b'


def form_of(*parts: bytes, end: bytes = b"--a-Boundary--\r\n") -> bytes:
    return b"".join(b"--a-Boundary\r\n" + part + b"\r\n" for part in parts) + end


def model(value: bytes = b"whisper-1", name: bytes = b'"model"') -> bytes:
    return b"content-disposition: form-data; name=" + name + b"\r\n\r\n" + value


def found(form: bytes, step: int = 0) -> bytes | None:
    """The value; the form comes in pieces of `step` bytes."""
    field, there = ModelField(TYPE), bytearray()
    step = step or len(form)
    for at in range(0, len(form), step):
        there += form[at : at + step]
        if place := field.find(there):
            return bytes(there[slice(*place)])
    assert field.ended
    return None


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7, 64])
@pytest.mark.parametrize(
    "form",
    [
        form_of(model()),
        form_of(model(name=b"model")),
        form_of(FILE % (b"a.wav", b"RIFF\r\n--a\r\n\r\n"), model()),
        form_of(model(), FILE % (b"a.wav", b"RIFF")),
        form_of(FILE % (b"a.wav", b""), b"X-Other: 1\r\n" + model() + b""),
        b"preamble\r\n" + form_of(model()),
    ],
)
def test_it_is_found_wherever_it_stands(form: bytes, step: int) -> None:
    assert found(form, step) == b"whisper-1"


@pytest.mark.parametrize("step", [0, 1, 5])
@pytest.mark.parametrize(
    "form",
    [
        form_of(),
        form_of(FILE % (b"a.jsonl", b'{"model": "gpt-4o"}')),
        form_of(FILE % (b"x; name=model", b"secret")),
        form_of(FILE % (b"model", b"secret")),
        form_of(FILE % (b"a.txt", b"content-disposition: form-data; name=model\r\n\r\nx\r\n")),
        form_of(FILE % (b"a.txt", b"x")) + form_of(model()),
    ],
)
def test_what_only_looks_like_it_is_none(form: bytes, step: int) -> None:
    assert found(form, step) is None


@pytest.mark.parametrize(
    "form",
    [
        form_of(b"x: " + b"y" * 20_000 + b"\r\n" + model()),
        form_of(FILE % (b"a", b"x\r\n--a-BoundaryX\r\n" + model())),
        form_of(model(b"x" * 2000)),
    ],
)
def test_a_form_that_others_could_read_otherwise_is_refused(form: bytes) -> None:
    with pytest.raises(RequestError):
        found(form, 100)
    with pytest.raises(RequestError):
        found(form)


def test_a_form_without_a_boundary_is_refused() -> None:
    with pytest.raises(RequestError, match="boundary"):
        ModelField(b"multipart/form-data")
