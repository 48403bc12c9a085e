"""The form in which a model reads a conversation: its chat template, its tokenizer, its marks.

A model with a template keeps it. A base without one has never seen a conversation and gets a plain form: headings its
tokenizer can write, and its own mark of the end of a text behind each answer, so that it learns where to stop. The form is
kept beside the tuned model, so that whoever asks it later asks as it was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cutaway.base.errors import DataError, ModelFormatError, TokenizerError
from cutaway.interop.chat_template import PLAIN_TEMPLATE, Segment, read_template, render, segments_of
from cutaway.text.tokenizer import Tokenizer, encode_marked

Messages = Sequence[dict[str, str]]

LETTERS_ONLY = PLAIN_TEMPLATE.replace("### ", "").replace(":\\n", "\\n")
"""For vocabularies of few characters: headings of nothing but letters."""


@dataclass(frozen=True)
class ChatForm:
    """A template, and the tokenizer that reads what it writes."""

    tokenizer: Tokenizer
    template: str
    """Jinja, as in chat_template.jinja."""
    marks: dict[str, str]
    """Special tokens the template may name: bos_token, eos_token, ..."""
    is_own: bool = True
    """Whether the model came with the template."""

    @property
    def stop_id(self) -> int:
        """The token that ends an answer."""
        assert self.tokenizer.eos_id is not None
        return self.tokenizer.eos_id

    @property
    def stop_text(self) -> str:
        """The text of that token."""
        return self.tokenizer.token_text(self.stop_id)

    def segments(self, messages: Messages) -> list[Segment]:
        """Return the conversation parted into what is given and what is to be learned."""
        for message in messages:
            if self.stop_text in message["content"]:
                raise DataError(f"it contains the model's mark of the end, {self.stop_text!r}, as text; take it out")
        return segments_of(self.template, self.marks, messages)

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Return the tokens of messages that wait for an answer."""
        return self.encode(render(self.template, self.marks, messages))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text with marks in it."""
        return [token for token, _ in encode_marked(self.tokenizer, text)]


def chat_form(folder: Path, tokenizer: Tokenizer) -> ChatForm:
    """Return the form a folder's model reads conversations in, or a plain one where it has none.

    Raises:
        TokenizerError: the tokenizer has no token to end a text with, or cannot write the plain form.
        ModelFormatError: the template is broken, or never ends an answer.
    """
    if tokenizer.eos_id is None:
        raise TokenizerError(
            "the base has no token that ends a text (it was trained on one document), so it could not learn where an "
            "answer ends; take a base trained on several documents"
        )
    template, marks = read_template(folder)
    for name, token in (("bos_token", tokenizer.bos_id), ("eos_token", tokenizer.eos_id)):
        if not marks[name] and token is not None:
            marks[name] = tokenizer.token_text(token)
    if template is not None:
        form = ChatForm(tokenizer, template, marks)
    else:
        form = ChatForm(tokenizer, _plain_template(tokenizer), marks, is_own=False)
    _check_stop(form)
    return form


def _plain_template(tokenizer: Tokenizer) -> str:
    """Return the plain form that this tokenizer can write; it begins with the mark its documents begin with."""
    begins = getattr(tokenizer, "starts_with_bos", False) and tokenizer.bos_id is not None
    complaint: TokenizerError | None = None
    for template in (PLAIN_TEMPLATE, LETTERS_ONLY):
        try:
            tokenizer.encode(render(template, {"eos_token": ""}, [{"role": role, "content": ""} for role in _ROLES]))
            return ("{{ bos_token }}" if begins else "") + template
        except TokenizerError as error:
            complaint = error
    raise TokenizerError(
        f"the base's tokenizer cannot write even the plain headings Prompt and Response ({complaint}); "
        f"take a base that knows these letters"
    )


_ROLES = ("user", "assistant", "user")


def _check_stop(form: ChatForm) -> None:
    """Refuse a template that does not end an answer with the token at which writing stops."""
    asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}]
    answer = segments_of(form.template, form.marks, asked)[-1].text
    if form.stop_text not in answer:
        raise ModelFormatError(
            f"the chat template ends an answer with {answer[1:]!r}, not with the tokenizer's stop token "
            f"{form.stop_text!r}, so a model tuned with it would never stop; set eos_token in tokenizer_config.json "
            f"to the mark the template writes"
        )
