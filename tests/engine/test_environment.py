from __future__ import annotations

import os

from reshore.engine.environment import child_environment

FIXED = {"LLAMA_ARG_VIDEO_FFMPEG_DIR": os.devnull}


def test_secrets_do_not_reach_engines() -> None:
    env = {
        "PATH": "/bin",
        "OPENAI_API_KEY": "sk-1",
        "RESHORE_API_KEY": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "HTTPS_PROXY": "http://user:password@proxy",
    }
    assert child_environment(env, "darwin") == {"PATH": "/bin"} | FIXED


def test_device_choices_and_locale_reach_engines() -> None:
    env = {"CUDA_VISIBLE_DEVICES": "1", "LANG": "C.UTF-8", "LD_LIBRARY_PATH": "/opt"}
    assert child_environment(env, "darwin") == env | FIXED


def test_no_llama_server_hands_a_clients_bytes_to_ffmpeg() -> None:
    env = {"LLAMA_ARG_VIDEO_FFMPEG_DIR": "/usr/bin"}
    assert child_environment(env, "darwin") == FIXED


def test_the_operators_openmp_settings_win_over_ours() -> None:
    assert "GOMP_SPINCOUNT" in child_environment({}, "linux")
    assert child_environment({"GOMP_SPINCOUNT": "7"}, "linux")["GOMP_SPINCOUNT"] == "7"
