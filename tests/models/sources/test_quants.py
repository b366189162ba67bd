from __future__ import annotations

import pytest

from reshore.errors import SourceError
from reshore.models.sources.quants import RemoteFile, choose, quant

REPOSITORY = (
    "README.md",
    "Model-1B.Q4_K_M.gguf",
    "Model-1B.Q8_0.gguf",
    "Model-1B-f16.gguf",
    "Model-1B-UD-Q4_K_XL.gguf",
    "Model-1B-IQ3_XXS.gguf",
    "deep/Model-1B.Q8_0.gguf",
    "big/Model-1B-Q6_K-00001-of-00002.gguf",
    "mmproj-Model-1B-Q8_0.gguf",
    "mmproj-Model-1B-f16.gguf",
)


def files(*names: str) -> list[RemoteFile]:
    return [RemoteFile(name, 1, "0" * 64) for name in names]


@pytest.mark.parametrize(
    ("tag", "path"),
    [
        ("latest", "Model-1B.Q4_K_M.gguf"),
        ("Q8_0", "Model-1B.Q8_0.gguf"),
        ("q8_0", "Model-1B.Q8_0.gguf"),
        ("F16", "Model-1B-f16.gguf"),
        ("UD-Q4_K_XL", "Model-1B-UD-Q4_K_XL.gguf"),
        ("IQ3_XXS", "Model-1B-IQ3_XXS.gguf"),
        ("Model-1B-f16.gguf", "Model-1B-f16.gguf"),
        ("model-1b-f16", "Model-1B-f16.gguf"),
    ],
)
def test_a_tag_chooses_a_file_and_the_projector_beside_it(tag, path):
    model, projector = choose(files(*REPOSITORY), tag, "hf.co/a/b")
    assert model.path == path
    assert projector is not None
    assert projector.path == "mmproj-Model-1B-f16.gguf"


def test_without_projector_there_is_none():
    assert choose(files("a.Q4_0.gguf"), "latest", "x")[1] is None


def test_the_only_file_needs_no_tag():
    assert choose(files("strange-name.gguf"), "latest", "x")[0].path == "strange-name.gguf"


@pytest.mark.parametrize(
    ("names", "tag", "says"),
    [
        (("a.Q4_0.gguf", "a.Q8_0.gguf"), "Q2_K", "has no Q2_K; it has Q4_0, Q8_0"),
        (("a.gguf", "b.gguf"), "latest", r"has no latest; it has a\.gguf, b\.gguf"),
        (("README.md",), "latest", r"no GGUF file that can be used \(none\)"),
        (("a-Q4_0-00001-of-00002.gguf",), "latest", "only split ones"),
        (("mmproj-f16.gguf",), "latest", "no GGUF file"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(names, tag, says):
    with pytest.raises(SourceError, match=says):
        choose(files(*names), tag, "hf.co/a/b")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.Q4_K_M.gguf", "Q4_K_M"),
        ("a-bf16.gguf", "BF16"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("a-TQ1_0.gguf", "TQ1_0"),
        ("a-1B.gguf", None),
        ("Q8_0/model.gguf", "Q8_0"),
    ],
)
def test_names_tell_the_quantisation(name, wanted):
    assert quant(RemoteFile(name, 1, None)) == wanted
