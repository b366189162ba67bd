"""Child main of `engine.kind = "echo"`: `python -m reshore.engine.echo`, launch on stdin."""

from __future__ import annotations

import asyncio
import sys
import time

from reshore.engine.child import (
    Launch,
    Ready,
    exit_with_stdin,
    private_stdout,
    read_launch,
    report,
)
from reshore.engine.echo.endpoints import EchoEngine
from reshore.engine.echo.http import Connection


def main() -> None:
    stdout = private_stdout()
    launch = read_launch(Launch)
    exit_with_stdin()
    time.sleep(launch.echo.load_ms / 1000)
    if launch.echo.fault == "start":
        sys.exit("scripted failure to start")
    asyncio.run(_serve(launch, stdout))


async def _serve(launch: Launch, stdout: int) -> None:
    engine = EchoEngine(launch)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(engine.handle), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    report(stdout, Ready(url=f"http://{host}:{port}"))
    await server.serve_forever()


if __name__ == "__main__":
    main()
