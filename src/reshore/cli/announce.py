"""What a person reads once the server is ready."""

from __future__ import annotations

import ipaddress

from reshore.config import Config, parse_host

_SNIPPETS = """
Change these two lines of your application, and name the model "{model}":

  Python       client = OpenAI(
                   base_url="{url}/v1",
                   api_key={python_key},
               )

  JavaScript   const client = new OpenAI({{
                 baseURL: "{url}/v1",
                 apiKey: {javascript_key},
               }});

Or ask from a shell:

  curl {url}/v1/chat/completions \\
    -H 'content-type: application/json' \\{curl_key}
    -d '{{"model": "{model}", "messages":
         [{{"role": "user", "content": "Hello!"}}]}}'
"""
_CURL_KEY = """
    -H "authorization: Bearer $RESHORE_API_KEY" \\"""


def base_url(config: Config) -> str:
    """The address for clients on this machine; one that means all addresses becomes loopback."""
    host, port = parse_host(config.host)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
    scheme = "https" if config.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def snippets(config: Config, model: str) -> str:
    """The two-line change, ready to paste. A key is read from the environment, never shown."""
    keyed = bool(config.api_key)
    return _SNIPPETS.format(
        model=model,
        url=base_url(config),
        python_key='os.environ["RESHORE_API_KEY"]' if keyed else '"unused"',
        javascript_key="process.env.RESHORE_API_KEY" if keyed else '"unused"',
        curl_key=_CURL_KEY if keyed else "",
    )
