"""The lab's models through the `openai` client: equal to what Python says, whole and in pieces."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from openai import OpenAI
from server.model_folders import TOKENIZER, save_model
from server.serving import serving_lab, wait_until

from cutaway import workbench
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.server.lab import Lab
from cutaway.server.safety import Access
from cutaway.server.sessions import WRONG_A_MINUTE, Sessions

PASSWORD = "open sesame"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.content == 'no' %}{{ raise_exception('not that') }}{% endif %}"
    "{{ message.role[0] }} {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}a {% endif %}"
)


@dataclass
class Running:
    lab: Lab
    port: int
    client: OpenAI


def client_of(port: int, key: str = "any") -> OpenAI:
    return OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("completions")
    for kind in ("ours", "gpt2", "llama"):
        save_model(home / "models" / kind, kind)
    chatty = save_model(home / "models" / "chatty")
    config = json.loads((chatty / "tokenizer_config.json").read_text())
    (chatty / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": TEMPLATE}))
    lab = Lab(home)
    with serving_lab(lab) as port, client_of(port) as client:
        yield Running(lab, port, client)


def in_python(running: Running, kind: str, prompt: str, n: int = 1, logprobs: int | None = None, **settings: Any):
    model, tokenizer = workbench.load(running.lab.home / "models" / kind)
    config = SamplingConfig(**{"temperature": 1.0, "max_tokens": 16, **settings})
    return generate(model, tokenizer, prompt, config, n, logprobs=logprobs)


def test_the_models_are_listed_and_found(running: Running) -> None:
    listed = running.client.models.list()
    assert {model.id for model in listed} == {f"models/{kind}" for kind in ("ours", "gpt2", "llama", "chatty")}
    one = running.client.models.retrieve("models/gpt2")
    assert (one.id, one.object, one.owned_by) == ("models/gpt2", "model", "cutaway")
    with pytest.raises(openai.NotFoundError, match="no model 'models/gpt3'"):
        running.client.models.retrieve("models/gpt3")


@pytest.mark.parametrize("kind", ["ours", "gpt2", "llama"])
def test_a_text_equals_that_of_python(running: Running, kind: str) -> None:
    expected = in_python(running, kind, "hello", seed=5)[0]
    answer = running.client.completions.create(model=f"models/{kind}", prompt="hello", seed=5)
    choice = answer.choices[0]
    assert (choice.text, choice.finish_reason, choice.index) == (expected.text, "length", 0)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 16, 21)
    streamed = running.client.completions.create(
        model=f"models/{kind}", prompt="hello", seed=5, stream=True, stream_options={"include_usage": True}
    )
    pieces = list(streamed)
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == expected.text
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] == "length"
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.total_tokens == 21
    assert len({piece.id for piece in pieces}) == 1


def test_settings_of_ours_come_as_extra_fields(running: Running) -> None:
    extra = {"top_k": 4, "min_p": 0.1, "repetition_penalty": 1.4}
    expected = in_python(running, "ours", "abc", seed=1, top_p=0.8, temperature="0.5+t/9", **extra)[0]
    answer = running.client.completions.create(
        model="models/ours", prompt="abc", seed=1, top_p=0.8, extra_body={**extra, "temperature": "0.5+t/9"}
    )
    assert answer.choices[0].text == expected.text


def test_several_continuations_of_several_texts(running: Running) -> None:
    texts = ["abc", "hello"]
    answer = running.client.completions.create(model="models/ours", prompt=texts, n=2, seed=3, max_tokens=9)
    expected = [one.text for text in texts for one in in_python(running, "ours", text, 2, seed=3, max_tokens=9)]
    assert [choice.text for choice in answer.choices] == expected
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 8
    ids = [TOKENIZER.encode(text) for text in texts]
    by_ids = running.client.completions.create(model="models/ours", prompt=ids, n=2, seed=3, max_tokens=9)
    assert [choice.text for choice in by_ids.choices] == expected
    streamed = running.client.completions.create(
        model="models/ours", prompt=texts, n=2, seed=3, max_tokens=9, stream=True
    )
    got = {}
    for piece in streamed:
        for choice in piece.choices:
            got[choice.index] = got.get(choice.index, "") + choice.text
    assert [got[i] for i in range(4)] == expected


def test_stop_strings_end_a_text(running: Running) -> None:
    free = in_python(running, "ours", "hello", seed=5)[0].text
    stop = free[6:8]
    answer = running.client.completions.create(model="models/ours", prompt="hello", seed=5, stop=stop)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].text == free[: free.index(stop)]
    streamed = running.client.completions.create(model="models/ours", prompt="hello", seed=5, stop=[stop], stream=True)
    assert "".join(piece.choices[0].text for piece in streamed) == free[: free.index(stop)]


@pytest.mark.parametrize("streams", [False, True])
def test_probabilities_of_the_prompt_and_of_the_text(running: Running, streams: bool) -> None:
    expected = in_python(running, "gpt2", "hello", seed=2, logprobs=3, max_tokens=6)[0]
    answer = running.client.completions.create(
        model="models/gpt2", prompt="hello", seed=2, logprobs=3, echo=True, max_tokens=6, stream=streams
    )
    pieces = list(answer) if streams else [answer]
    text, tokens, values, top, offsets = "", [], [], [], []
    for piece in pieces:
        choice = piece.choices[0]
        text += choice.text
        if choice.logprobs is not None:
            tokens += choice.logprobs.tokens
            values += choice.logprobs.token_logprobs
            top += choice.logprobs.top_logprobs
            offsets += choice.logprobs.text_offset
    assert text == "hello" + expected.text
    assert "".join(tokens) == text
    assert offsets == list(range(11))
    model, tokenizer = workbench.load(running.lab.home / "models" / "gpt2")
    ids = torch.tensor([tokenizer.encode("hello") + expected.tokens])
    with torch.no_grad():
        rows = model(ids)[0].log_softmax(-1)
    assert values[0] is None
    assert top[0] is None
    for t in range(1, 11):
        assert values[t] == pytest.approx(float(rows[t - 1, ids[0, t]]), abs=1e-5)
        assert top[t][tokens[t]] == values[t]
        best = max(top[t].values())
        assert best == pytest.approx(float(rows[t - 1].max()), abs=1e-5)
        assert 3 <= len(top[t]) <= 4


def test_a_prompt_alone_can_be_measured(running: Running) -> None:
    answer = running.client.completions.create(
        model="models/ours", prompt="hello", max_tokens=0, echo=True, logprobs=0, temperature=0
    )
    choice = answer.choices[0]
    assert choice.text == "hello"
    assert choice.logprobs is not None
    assert choice.logprobs.token_logprobs is not None
    assert len(choice.logprobs.token_logprobs) == 5
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 0


def test_a_conversation_without_a_template_is_one_text(running: Running) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "be kind."},
        {"role": "user", "content": [{"type": "text", "text": "hello "}, {"type": "text", "text": "you"}]},
        {"role": "assistant", "content": " there"},
        {"role": "user", "content": "go on"},
    ]
    expected = in_python(running, "ours", "be kind.\nhello you there\ngo on", seed=4, max_tokens=12)[0]
    answer = running.client.chat.completions.create(
        model="models/ours", messages=messages, seed=4, max_completion_tokens=12
    )
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].message.role == "assistant"
    streamed = list(
        running.client.chat.completions.create(
            model="models/ours", messages=messages, seed=4, max_tokens=12, stream=True
        )
    )
    assert streamed[0].choices[0].delta.role == "assistant"
    assert "".join(piece.choices[0].delta.content or "" for piece in streamed) == expected.text
    assert streamed[-1].choices[0].finish_reason == "length"


def test_a_conversation_is_written_as_the_template_says(running: Running) -> None:
    messages: list[Any] = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "you"}]
    expected = in_python(running, "chatty", "u hello\na you\na ", seed=4, max_tokens=12)[0]
    answer = running.client.chat.completions.create(
        model="models/chatty", messages=messages, seed=4, max_tokens=12, logprobs=True, top_logprobs=2
    )
    choice = answer.choices[0]
    assert choice.message.content == expected.text
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert "".join(token.token for token in choice.logprobs.content) == expected.text
    first = choice.logprobs.content[0]
    assert bytes(first.bytes or []).decode() == first.token
    assert len(first.top_logprobs) == 2
    assert first.top_logprobs[0].logprob >= first.top_logprobs[1].logprob
    assert math.exp(first.logprob) <= 1


def test_a_template_of_its_own_file_may_not_leave_its_sandbox(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    folder = save_model(home / "models" / "x")
    (folder / "chat_template.jinja").write_text("{{ messages.__class__.__mro__[1].__subclasses__() }}")
    with serving_lab(Lab(home)) as port, client_of(port) as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="models/x", messages=[{"role": "user", "content": "a"}])
    assert "unsafe" in caught.value.message


def test_the_end_of_the_stream_is_as_clients_expect(running: Running) -> None:
    import httpx

    body = {"model": "models/ours", "prompt": "abc", "stream": True, "max_tokens": 5, "seed": 1}
    with httpx.stream("POST", f"http://127.0.0.1:{running.port}/v1/completions", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_a_client_that_leaves_ends_the_text(running: Running) -> None:
    stream = running.client.completions.create(
        model="models/gpt2", prompt="hello", max_tokens=60_000, stream=True, temperature=1.0
    )
    next(iter(stream))
    assert running.lab.streams.n_running == 1
    stream.close()
    wait_until(lambda: running.lab.streams.n_running == 0, seconds=5)


@pytest.mark.slow
def test_many_at_once_get_each_their_own(running: Running) -> None:
    prompts = ["abc", "hello", "the quick", "you", "brown fox", "jumps", "over", "lazy"]
    expected = {prompt: in_python(running, "ours", prompt, seed=7, max_tokens=60)[0].text for prompt in prompts}
    got = {}

    def ask(prompt: str) -> None:
        stream = running.client.completions.create(
            model="models/ours", prompt=prompt, seed=7, max_tokens=60, stream=True
        )
        got[prompt] = "".join(piece.choices[0].text for piece in stream)

    threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected


def test_when_too_many_wait_the_next_is_told_to_come_again(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.lab.streams._queue, "most", 0)
    with pytest.raises(openai.InternalServerError) as caught:
        running.client.completions.create(model="models/ours", prompt="a")
    assert caught.value.status_code == 503
    assert caught.value.code == "overloaded"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 3}, "top_p"),
        ({"extra_body": {"top_k": 0}}, "top_k"),
        ({"extra_body": {"colour": "red"}}, "colour"),
        ({"presence_penalty": 0.5}, "use repetition_penalty"),
        ({"logit_bias": {"3": 5}}, "logit_bias"),
        ({"suffix": "end"}, "suffix"),
        ({"n": 1000}, "n: "),
        ({"max_tokens": -2}, "max_tokens"),
        ({"max_tokens": 0}, "writes nothing"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"prompt": []}, "0 texts"),
        ({"prompt": [5000]}, "no token 5000"),
        ({"prompt": "h\u00e9!"}, "never saw in training"),
        ({"prompt": "a" * 49}, "sees 48 at once"),
        ({"extra_body": {"temperature": "1/0*"}}, "temperature"),
        ({"stop": ""}, "stop"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_what_cannot_be_done_is_refused_in_one_line(running: Running, changes: dict, said: str, streams: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        running.client.completions.create(**{"model": "models/ours", "prompt": "abc", "stream": streams, **changes})
    assert caught.value.type == "invalid_request_error"
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_errors_have_their_status_and_code(running: Running) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        running.client.completions.create(model="gpt-5", prompt="a")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        running.client.completions.create(model="../../etc", prompt="a", stream=True)
    with pytest.raises(openai.BadRequestError) as long:
        running.client.chat.completions.create(model="models/ours", messages=[{"role": "user", "content": "a" * 49}])
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as empty:
        running.client.chat.completions.create(model="models/ours", messages=[])
    assert "at least one message" in empty.value.message
    with pytest.raises(openai.BadRequestError, match="refuses these messages: not that"):
        running.client.chat.completions.create(model="models/chatty", messages=[{"role": "user", "content": "no"}])
    image: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    with pytest.raises(openai.BadRequestError, match="text only"):
        running.client.chat.completions.create(model="models/ours", messages=image)
    with pytest.raises(openai.BadRequestError, match="needs logprobs"):
        running.client.chat.completions.create(
            model="models/ours", messages=[{"role": "user", "content": "a"}], top_logprobs=3
        )
    with pytest.raises(openai.NotFoundError, match="this lab has no /v1/embeddings"):
        running.client.embeddings.create(model="models/ours", input="a", encoding_format="float")


def test_a_page_from_elsewhere_may_not_ask(running: Running) -> None:
    import httpx

    address = f"http://127.0.0.1:{running.port}/v1/models"
    answer = httpx.get(address, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert httpx.get(address, headers={"host": "evil.example"}).status_code == 421
    assert httpx.get(address).headers["cache-control"] == "no-store"


@pytest.mark.slow
def test_the_password_is_the_key(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    save_model(home / "models" / "x")
    access = Access(Sessions(PASSWORD))
    with serving_lab(Lab(home), access) as port:
        with client_of(port, PASSWORD) as client:
            assert [model.id for model in client.models.list()] == ["models/x"]
            assert client.completions.create(model="models/x", prompt="a", max_tokens=3).choices[0].text
        with client_of(port, "wrong") as client:
            for _ in range(WRONG_A_MINUTE):
                with pytest.raises(openai.AuthenticationError) as caught:
                    client.models.list()
                assert caught.value.code == "invalid_api_key"
            with pytest.raises(openai.AuthenticationError, match="too many wrong passwords"):
                client.models.list()
        with client_of(port, PASSWORD) as client:  # was recognised before, and still is
            assert client.models.list()
