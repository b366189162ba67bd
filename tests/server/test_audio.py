"""Audio is not understood by local models: it is refused by name, never left out silently."""

from tests.server.harness import MODEL, Server


async def test_audio_in_a_message_is_refused_by_its_place(server: Server) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is said?"}, audio]}]
    error = await server.refusal("/v1/chat/completions", {"model": MODEL, "messages": messages})
    assert error["param"].startswith("messages[0].content[1]")
    assert "transcribe the audio first" in error["message"]


async def test_there_is_no_transcription(server: Server) -> None:
    error = await server.refusal("/v1/audio/transcriptions", {}, 404)
    assert error["code"] == "unknown_url"
