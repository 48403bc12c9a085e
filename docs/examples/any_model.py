"""Open up a model this project knows nothing about: `python docs/examples/any_model.py`.

A small GPT-2 of Hugging Face's `transformers` (random weights, so nothing is downloaded) makes one training step. Every
number of it is recorded, one weight's gradient is explained down to the token that caused it, everything is recomputed
from formulas, and one attention head is set to zero to see what moves.
"""

from __future__ import annotations

import torch
from transformers import GPT2Config, GPT2LMHeadModel

import cutaway
from cutaway.microscope.diff import diff

torch.manual_seed(0)
words = ["the", "cat", "sat", "on", "the", "mat"]
vocabulary = sorted(set(words))
config = GPT2Config(
    vocab_size=len(vocabulary), n_positions=8, n_embd=16, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0,
    resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
)  # fmt: skip
model = GPT2LMHeadModel(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
tokens = torch.tensor([[vocabulary.index(word) for word in words]])

print("--- one training step, recorded")
trace = cutaway.trace(model, {"input_ids": tokens, "labels": tokens}, loss=lambda out: out.loss, optimizer=optimizer)
print(trace)

print("\n--- the gradient of one weight")
weight = "transformer.h.0.mlp.c_fc.weight:grad"
told = trace.explain(weight, (3, 5))
print(told)

print("\n--- the largest contributions to it, and to those")
print(trace.why(weight, (3, 5), depth=3, most=2))

largest = told.terms[0]
position = largest.index[-2] if len(largest.index) > 1 else 0
print(f"\nso the token that moved this weight most is {words[position]!r} (position {position})")

print("\n--- what the optimizer did with it")
print(trace.explain("transformer.h.0.mlp.c_fc.weight:new", (3, 5)))

print("\n--- every number, recomputed in float64")
print(trace.verify())

print("\n--- head 2 of block 1 set to zero")
place = "transformer.h.1.attn.bmm#2"  # pattern times values: one matrix a head
edited = trace[place]
edited[2] = 0.0
without = trace.replay({place: edited})
print(f"loss {trace['loss'].item():.6f} -> {without['loss'].item():.6f}; what moved most:")
for moved in diff(trace, without)[:5]:
    print(f"  {moved.largest:9.6f}  {moved.address}{list(moved.index)}")
