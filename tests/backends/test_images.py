"""Images by URL: off by default, and never a way to call what only this machine reaches.

Images by any way: an engine gets none that could harm it.
"""

import base64
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from reshore.backends.images import CheckedResolver, ImageFetcher, is_public
from reshore.errors import RequestError, Unsupported
from reshore.types import ImagePart, Message, TextPart
from tests.backends.image_samples import png

PNG = png(3, 2)


class Site:
    """A web server that counts what reaches it."""

    def __init__(self) -> None:
        self.hits = 0
        app = web.Application()
        app.router.add_get("/{name}", self.answer)
        self.server = TestServer(app)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.hits += 1
        match request.match_info["name"]:
            case "image":
                return web.Response(body=PNG, content_type="image/png")
            case "fake":
                return web.Response(body=b"#EXTM3U", content_type="image/png")
            case "page":
                return web.Response(text="hello")
            case "large":
                return web.Response(body=b"x" * (21 << 20), content_type="image/png")
            case "loop":
                raise web.HTTPFound("/loop")
            case "file":
                raise web.HTTPFound("file:///etc/passwd")
            case "hop":
                raise web.HTTPFound("/image")
        raise web.HTTPNotFound

    def url(self, name: str) -> str:
        return str(self.server.make_url(f"/{name}"))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.server.start_server()
    yield site
    await site.server.close()


Messages = tuple[Message, ...]


def asking(*urls: str) -> Messages:
    images = [
        ImagePart(url=url, param=f"messages[0].content[{i}]") for i, url in enumerate(urls, 1)
    ]
    return (Message(role="user", content=(TextPart(text="what is it?"), *images)),)


def data_url(data: bytes, start: str = "data:image/png;base64,") -> str:
    return start + base64.b64encode(data).decode()


def image_of(messages: Messages) -> str:
    content = messages[0].content
    assert isinstance(content, tuple)
    assert isinstance(content[1], ImagePart)
    return content[1].url


async def test_urls_are_refused_unless_enabled(site: Site) -> None:
    with pytest.raises(Unsupported, match="image_urls") as caught:
        await ImageFetcher(enabled=False).inline(asking(site.url("image")))
    assert caught.value.param == "messages[0].content[1]"
    assert site.hits == 0


async def test_text_and_data_urls_pass_untouched() -> None:
    fetcher = ImageFetcher(enabled=False)
    text = (Message(role="user", content="hi"), Message(role="assistant", content=None))
    assert await fetcher.inline(text) is text
    messages = asking(data_url(PNG), data_url(png(5, 5))) + text
    assert await fetcher.inline(messages) == messages


@pytest.mark.parametrize(
    "start", ["DATA:image/png;base64,", "data:IMAGE/PNG;BASE64,", "data:image/png;name=a;base64,"]
)
async def test_data_urls_are_spelled_as_the_engine_reads_them(start: str) -> None:
    inlined = await ImageFetcher(enabled=False).inline(asking(data_url(PNG, start)))
    assert image_of(inlined) == data_url(PNG)


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (png(30_000, 30_000, b""), "image_too_large", "30000 x 30000"),
        (PNG[:-20], "image_parse_error", "cut short"),
        (png(201, 1), "image_parse_error", "200 times"),
        (b"RIFF\x1a\0\0\0WEBPVP8L", "image_parse_error", "WebP is not decoded"),
        (b"RIFF\x1a\0\0\0AVI LIST", "image_parse_error", "not decoded"),
    ],
)
async def test_what_would_harm_an_engine_is_refused_by_its_path(
    data: bytes, code: str, says: str
) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        await ImageFetcher(enabled=False).inline(asking(data_url(PNG), data_url(data)))
    assert caught.value.param == "messages[0].content[2]"
    assert str(caught.value).startswith("Invalid 'messages[0].content[2]': ")
    assert caught.value.code == code


async def test_pixels_are_counted_over_all_images() -> None:
    half = data_url(b"GIF89a" + (5800).to_bytes(2, "little") * 2)
    fetcher = ImageFetcher(enabled=False)
    await fetcher.inline(asking(half))
    with pytest.raises(RequestError, match="64 megapixels together") as caught:
        await fetcher.inline(asking(half) + asking(half))
    assert caught.value.code == "image_too_large"


async def test_a_fetched_image_is_looked_into_too(site: Site) -> None:
    with pytest.raises(RequestError, match="data of this kind"):
        await ImageFetcher(enabled=True, allowed=lambda _: True).inline(asking(site.url("fake")))


@pytest.mark.parametrize("name", ["image", "hop"])
async def test_an_allowed_image_becomes_a_data_url(site: Site, name: str) -> None:
    fetcher = ImageFetcher(enabled=True, allowed=lambda _: True)
    inlined = await fetcher.inline(asking(site.url(name)))
    assert image_of(inlined) == data_url(PNG)


@pytest.mark.parametrize("name", ["page", "large", "loop", "missing", "file"])
async def test_what_is_no_image_is_refused(site: Site, name: str) -> None:
    with pytest.raises(RequestError, match="cannot be fetched") as caught:
        await ImageFetcher(enabled=True, allowed=lambda _: True).inline(asking(site.url(name)))
    assert caught.value.param == "messages[0].content[1]"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433"])
async def test_this_machine_is_never_called(site: Site, host: str) -> None:
    url = f"http://{host}:{site.server.port}/image"
    with pytest.raises(RequestError, match="cannot be fetched"):
        await ImageFetcher(enabled=True).inline(asking(url))
    assert site.hits == 0


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.com/x", "http://", "gopher:x"]
)
async def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(RequestError, match="cannot be fetched"):
        await ImageFetcher(enabled=True).inline(asking(url))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1", False),
        ("2606:4700::1", True),
        ("224.0.0.1", False),
    ],
)
def test_only_addresses_of_the_open_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_a_name_without_an_allowed_address_does_not_resolve() -> None:
    with pytest.raises(OSError, match="not a public address"):
        await CheckedResolver().resolve("localhost", 80)
