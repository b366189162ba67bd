from tests.cli.conftest import free_port, install


def test_the_library_is_nobodys_to_push_to(cli, home):
    install(home)
    ended = cli("push", "tiny")
    assert ended.code == 1
    assert "reshore cp tiny:latest HOST/NAMESPACE/tiny:latest" in ended.err


def test_a_registry_that_does_not_answer_is_said(cli, home):
    install(home)
    name = f"127.0.0.1:{free_port()}/me/tiny"
    cli("cp", "tiny", name)
    ended = cli("push", name, "--insecure")
    assert ended.code == 1
    assert "cannot be reached" in ended.err


def test_a_model_must_be_installed(cli):
    assert cli("push", "host/me/none").code == 3
