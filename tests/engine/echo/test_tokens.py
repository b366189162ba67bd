from reshore.engine.echo.tokens import apply_template, last_said


def test_a_rendered_conversation_ends_with_what_the_user_said_last() -> None:
    said = [{"role": "user", "content": text} for text in ("one", "two\nlines")]
    assert last_said(apply_template(said)) == "two\nlines"
    assert last_said("the end <|im_start|>assistant\n") == "the end <|im_start|>assistant\n"
    assert last_said("<|im_start|>user\none<|im_end|>") == "<|im_start|>user\none<|im_end|>"
