"""GGUF files, judged by the `gguf` package, by transformers' reader and by llama.cpp itself."""

from __future__ import annotations

import dataclasses
import json
import pydoc_data.topics
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as RustTokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from cutaway.base.errors import CutawayError, ModelFormatError, NonFiniteError, UsageError
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.interop.gguf_file import read_gguf, write_gguf
from cutaway.interop.gguf_layout import halves, interleaved, places
from cutaway.interop.gguf_tokenizer import LLAMA3, tokenizer_of, vocabulary
from cutaway.interop.hub_folder import choose_layout
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig, ModelConfig, RotaryScaling
from cutaway.models.decoder import Decoder
from cutaway.text.bpe import BPETokenizer
from cutaway.text.characters import CharacterTokenizer

disable_progress_bar()
TEXTS = list(pydoc_data.topics.topics.values())[:12]
ODD = TEXTS[3][:300] + " I've 3456 ... \u00e9t\u00e9\n\n  x\t\u4e2d\u6587 \U0001f999\U0001f999 don't  "
V = 420
GPT2 = GPTConfig(
    vocab_size=V + 3, context_length=1024, d_model=24, n_layers=2, n_heads=4, d_ff=96, positions="learned", norm="layer",
    mlp="gelu_tanh", bias=True, tied=True, qk_norm=False, zero_init_projections=False,
)  # fmt: skip
LLAMA = LlamaConfig(vocab_size=V, context_length=64, d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, rotary_base=500.0)
SHAPES: dict[str, ModelConfig] = {
    "gpt2": GPT2,
    "llama": LLAMA,
    "llama3": LlamaConfig(
        vocab_size=V,
        context_length=64,
        d_model=48,
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        d_head=16,
        d_ff=40,
        tied=True,
        attention_bias=True,
        mlp_bias=True,
        rotary_scaling=RotaryScaling(4.0, 1.0, 4.0, 32),
    ),
    "ours": GPTConfig(
        vocab_size=V,
        context_length=64,
        d_model=32,
        n_layers=2,
        n_heads=4,
        mlp="swiglu",
        qk_norm=False,
        zero_init_projections=False,
    ),
}


def shaken(config: ModelConfig) -> Decoder:
    model = build(config, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train(TEXTS, V)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tokenizer: BPETokenizer) -> dict[tuple[str, str], Path]:
    folder = tmp_path_factory.mktemp("gguf")
    files = {(name, type): folder / f"{name}.{type}.gguf" for name in SHAPES for type in ("f32", "f16", "q8_0")}
    for (name, type), file in files.items():
        write_gguf(
            file,
            shaken(SHAPES[name]),
            tokenizer,
            type,
            chat_template="{{ messages[0].content }}" if name == "llama3" else None,
        )
    return files


def test_the_order_of_rows_is_llama_cpps_and_can_be_undone() -> None:
    rows = torch.arange(24.0)[:, None].repeat(1, 3)
    expected = rows.reshape(3, 2, 4, 3).swapaxes(1, 2).reshape(24, 3)  # three heads of eight
    assert torch.equal(interleaved(rows, 3), expected)
    assert interleaved(rows, 3)[:4, 0].tolist() == [0, 4, 1, 5]
    assert torch.equal(halves(interleaved(rows, 3), 3), rows)
    assert torch.equal(halves(interleaved(rows[:, 0], 3), 3), rows[:, 0])


@pytest.mark.parametrize("name", SHAPES)
def test_names_are_those_llama_cpps_table_gives_to_the_tensors_of_the_folder(name: str) -> None:
    config = SHAPES[name]
    kind = gguf.MODEL_ARCH.GPT2 if name == "gpt2" else gguf.MODEL_ARCH.LLAMA
    table = gguf.get_tensor_name_map(kind, config.n_layers)
    stored = {piece.ours: piece.stored for piece in choose_layout(config, None).pieces(config)}
    found = {ours: place.name for place in places(config) for ours in place.ours}
    assert found == {ours: table.get_name(theirs, (".weight", ".bias")) for ours, theirs in stored.items()}


def test_settings_and_vocabulary_are_read_back_by_the_gguf_reader(
    made: dict[tuple[str, str], Path], tokenizer: BPETokenizer
) -> None:
    found = {key: field.contents() for key, field in gguf.GGUFReader(made["llama3", "f16"]).fields.items()}
    described = json.loads(tokenizer.inner.to_str())
    vocabulary = sorted(tokenizer.inner.get_vocab().items(), key=lambda one: one[1])
    expected: dict[str, Any] = {
        "GGUF.version": 3,
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "llama3.f16",
        "general.size_label": "51K",
        "general.file_type": int(gguf.LlamaFileType.MOSTLY_F16),
        "general.quantization_version": gguf.GGML_QUANT_VERSION,
        "llama.block_count": 2,
        "llama.context_length": 64,
        "llama.embedding_length": 48,
        "llama.feed_forward_length": 40,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.key_length": 16,
        "llama.attention.value_length": 16,
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(1e-5),
        "llama.rope.dimension_count": 16,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": V,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [token for token, _ in vocabulary],
        "tokenizer.ggml.token_type": [3] + [1] * (V - 1),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in described["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,  # the chat template writes none
        "tokenizer.chat_template": "{{ messages[0].content }}",
    }
    assert {key: value for key, value in found.items() if key not in ("GGUF.tensor_count", "GGUF.kv_count")} == expected
    gpt2 = gguf.GGUFReader(made["gpt2", "q8_0"])
    assert gpt2.fields["gpt2.attention.layer_norm_epsilon"].contents() == pytest.approx(1e-5)
    assert gpt2.fields["tokenizer.ggml.tokens"].contents()[-1] == f"[PAD{V + 2}]"
    assert gpt2.fields["tokenizer.ggml.token_type"].contents()[-3:] == [5, 5, 5]
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gpt2.tensors}
    assert kinds["position_embd.weight"] == kinds["blk.0.attn_qkv.bias"] == kinds["output_norm.weight"] == "F32"
    assert kinds["blk.0.attn_qkv.weight"] == "F16"  # 24 wide: no blocks of 32
    assert kinds["blk.0.ffn_down.weight"] == "Q8_0"  # 96 wide


@pytest.mark.parametrize("name", SHAPES)
def test_read_back_the_model_says_the_same(
    made: dict[tuple[str, str], Path], tokenizer: BPETokenizer, name: str
) -> None:
    model = shaken(SHAPES[name])
    ids = torch.tensor([tokenizer.encode(ODD)[:64]])
    with torch.no_grad():
        logits = model(ids)
        spread = float(logits.std())
        for type, bound in (("f32", 1e-6 if name == "llama3" else 0.0), ("f16", 0.003), ("q8_0", 0.03)):
            again, words = read_gguf(made[name, type])
            assert float((again(ids) - logits).square().mean().sqrt()) <= bound * spread, type
            assert words.encode(ODD) == tokenizer.encode(ODD)
            assert words.decode(words.encode(ODD)) == ODD
            if type == "f32":
                sampling = SamplingConfig(temperature=0.0, max_tokens=12)
                assert generate(again, tokenizer, "The", sampling) == generate(model, tokenizer, "The", sampling)


def test_eight_bits_are_rounded_block_by_block(made: dict[tuple[str, str], Path]) -> None:
    tensor = next(t for t in gguf.GGUFReader(made["llama", "q8_0"]).tensors if t.name == "blk.1.ffn_up.weight")
    weight = shaken(LLAMA).get_parameter("blocks.1.mlp.up_proj.weight").detach().numpy()
    blocks = weight.reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    exact = blocks / scale
    whole = (np.sign(exact) * np.floor(np.abs(exact) + np.float32(0.5))).astype(np.int8)
    expected = np.concatenate([scale.astype(np.float16).view(np.uint8), whole.view(np.uint8)], axis=1)
    assert np.array_equal(np.asarray(tensor.data).reshape(expected.shape), expected)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_transformers_reads_the_same_model_and_tokenizer(made: dict[tuple[str, str], Path], name: str) -> None:
    for type in ("f32", "q8_0"):
        file = made[name, type]
        theirs = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        ours, words = read_gguf(file)
        ids = torch.tensor([words.encode(ODD)[:64]])
        with torch.no_grad():
            torch.testing.assert_close(theirs(ids).logits, ours(ids), atol=2e-6, rtol=1e-5)
    assert AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).encode(
        ODD, add_special_tokens=False
    ) == words.encode(ODD)


SERVER = """
import sys, time, xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path = sys.argv[1]
settings.n_ctx, settings.n_parallel, settings.cpuparams.n_threads, settings.warmup = 64, 1, 1, False
server = xllamacpp.Server(settings)
print("listening:", server.listening_address, flush=True)
time.sleep(600)
"""


@contextmanager
def llama_cpp(file: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Open a file in llama.cpp itself and give a way to ask it.

    It has a process of its own, which is killed: its end waits for its threads, and now and then for ever.
    """
    pytest.importorskip("xllamacpp")
    command = [sys.executable, "-c", SERVER, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            address = next(line.split()[1] for line in process.stdout if line.startswith("listening:"))

            def asked(path: str, **body: Any) -> dict[str, Any]:
                headers = {"Content-Type": "application/json"}
                request = urllib.request.Request(address + path, json.dumps(body).encode(), headers)
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)

            yield asked
        finally:
            process.kill()


@pytest.mark.parametrize("name", SHAPES)
def test_llama_cpp_reads_the_same_tokens_and_says_the_same(made: dict[tuple[str, str], Path], name: str) -> None:
    model, words = read_gguf(made[name, "f32"])
    compared = 0
    with llama_cpp(made[name, "f32"]) as asked:
        assert asked("/tokenize", content=ODD, add_special=False)["tokens"] == words.encode(ODD)
        for length in range(2, 60, 2):
            ids = words.encode(ODD)[:length]
            told = asked("/completion", prompt=ids, n_predict=1, temperature=0, n_probs=8, cache_prompt=False)
            with torch.no_grad():
                ours = model(torch.tensor([ids]))[0, -1].log_softmax(-1)
            for token in told.get("completion_probabilities", []):  # a token that is half a character is not told
                compared += 1
                assert float(ours[token["id"]]) == pytest.approx(float(ours.max()), abs=1e-2)
                for one in token["top_logprobs"]:  # its keys and values are kept in 16 bits
                    assert one["logprob"] == pytest.approx(float(ours[one["id"]]), abs=1e-2)
    assert compared


def words_cut(pre: str) -> BPETokenizer:
    """Learn a tokenizer that cuts like Llama 3's or SmolLM's, with marks behind its tokens."""
    is_llama = pre == "llama-bpe"
    inner = RustTokenizer(models.BPE(ignore_merges=is_llama))
    cut = pre_tokenizers.Split(Regex(LLAMA3), "isolated") if is_llama else pre_tokenizers.Digits(True)
    inner.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(False, use_regex=not is_llama)])
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    )
    inner.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    inner.add_tokens([AddedToken("<mark>", normalized=False), AddedToken("<|looks|>", normalized=False)])
    return BPETokenizer(inner, bos="<|begin_of_text|>", eos="<|end_of_text|>")


@pytest.mark.parametrize("pre", ["llama-bpe", "smollm"])
def test_tokenizers_of_others_keep_their_marks_and_their_cut(pre: str, tmp_path: Path) -> None:
    words = words_cut(pre)
    found = vocabulary(words, 410, "{{ bos_token }}{{ messages[0].content }}")
    assert found.pre == pre
    assert found.add_bos
    assert found.types[400:] == [3, 3, 4, 3, 5, 5, 5, 5, 5, 5]
    text = ODD + "<mark>\r\n 12345<|end_of_text|>"
    assert tokenizer_of(found).encode(text) == words.encode(text)
    model = build(dataclasses.replace(LLAMA, vocab_size=410, n_layers=1), seed=0)
    write_gguf(tmp_path / "x.gguf", model, words, "q8_0")
    with llama_cpp(tmp_path / "x.gguf") as asked:
        told = asked("/tokenize", content=text, add_special=False, parse_special=True)["tokens"]
    assert told == words.encode(text)


def refused(model: Decoder, words: Any, folder: Path, **settings: Any) -> str:
    with pytest.raises(CutawayError) as caught:
        write_gguf(folder / "x.gguf", model, words, **settings)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []
    return str(caught.value)


def test_what_cannot_be_said_is_refused_in_a_line_and_nothing_is_left(tmp_path: Path, tokenizer: BPETokenizer) -> None:
    own = build(GPTConfig(vocab_size=V, d_model=16, n_layers=1, ngram_sizes=(2,), ngram_rows=(8,)), seed=0)
    said = refused(own, tokenizer, tmp_path)
    assert "QK-norm" in said
    assert "export to hf" in said
    gelu = build(dataclasses.replace(GPT2, mlp="gelu", n_layers=1), seed=0)
    assert "gelu in place of gelu_tanh" in refused(gelu, tokenizer, tmp_path)
    small = build(dataclasses.replace(LLAMA, n_layers=1), seed=0)
    characters = CharacterTokenizer.train(TEXTS, separator=True)
    assert "--data.tokenizer bpe" in refused(small, characters, tmp_path)
    assert "no tokenizer" in refused(small, None, tmp_path)
    assert "did you mean q8_0" in refused(small, tokenizer, tmp_path, type="q8")
    few = build(dataclasses.replace(LLAMA, vocab_size=50), seed=0)
    assert "they differ" in refused(few, tokenizer, tmp_path)
    for change, why in (
        ({"normalizer": {"type": "NFC"}}, "byte-level"),
        ({"pre_tokenizer": None}, "does not cut"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "no name there"),
    ):
        other = RustTokenizer.from_str(json.dumps(json.loads(tokenizer.inner.to_str()) | change))
        assert why in refused(small, BPETokenizer(other, bos=None, eos=None), tmp_path)
    with torch.no_grad():
        small.get_parameter("blocks.0.mlp.up_proj.weight")[3, 4] = 1e5
    assert "export as f32" in refused(small, tokenizer, tmp_path, type="f16")
    with torch.no_grad():
        small.get_parameter("blocks.0.mlp.up_proj.weight")[3, 4] = float("nan")
    with pytest.raises(NonFiniteError, match="go back"):
        write_gguf(tmp_path / "x.gguf", small, tokenizer, "f32")


def test_files_that_are_none_are_refused(
    tmp_path: Path, made: dict[tuple[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made["llama", "f32"].read_bytes()
    for content in (b"", b"{}", whole[:1000], whole[: len(whole) // 2]):
        (tmp_path / "x.gguf").write_bytes(content)
        with pytest.raises(ModelFormatError, match="not a whole GGUF file"):
            read_gguf(tmp_path / "x.gguf")
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "mamba")
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelFormatError, match="'mamba'"):
        read_gguf(tmp_path / "x.gguf")
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(CutawayError, match=r"cutaway\[export\]"):
        read_gguf(tmp_path / "x.gguf")
    with pytest.raises(UsageError, match="no kind of model"):
        places(GPTConfig(vocab_size=9))
