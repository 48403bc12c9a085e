"""Nine things in which two texts of one writer are alike and an imitation is not, each graded from 1 to 5.

A grade says how close the answer is to the writer's own way in this one respect, not how good it is: 1 is nothing like it,
5 cannot be told from it. Grading nine narrow questions one by one agrees better from day to day than one broad one.
"""

from __future__ import annotations

from dataclasses import dataclass

LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True)
class Dimension:
    """One question of the rubric."""

    name: str
    title: str
    question: str
    low: str
    """What a 1 looks like."""
    high: str
    """What a 5 looks like."""


RUBRIC = (
    Dimension("rhythm", "Rhythm and length", "Do long and short sentences follow each other as they do with you?",
              "all sentences of one length, or lengths you never mix", "your changes of pace, in your places"),
    Dimension("punctuation", "Punctuation", "Are the commas, dashes, colons and brackets yours?",
              "marks you avoid, or none of those you like", "your marks, as often as you use them"),
    Dimension("register", "Register mixing", "Does it move between plain and learned words as you do?",
              "one tone throughout, too formal or too chatty", "your mixture, changing where you would change"),
    Dimension("assertion", "Assertion or hedging", "Does it claim and doubt as firmly as you do?",
              "hedges what you would state, or states what you would weigh", "as sure and as unsure as you are"),
    Dimension("compression", "Compression", "Does it say as much in as few words?",
              "padded, explained twice, summed up at the end", "as dense or as roomy as your own pages"),
    Dimension("opening", "Opening", "Does it begin as you begin?",
              "announces its subject, defines a word, greets the reader", "an opening you could have written"),
    Dimension("architecture", "Architecture", "Does the thought move from part to part as yours does?",
              "a list, or three points and a conclusion, where you would wander", "your order of steps, your turns"),
    Dimension("omission", "Omission", "Does it leave out what you would leave out?",
              "says the obvious, balances every side, draws the moral", "your silences"),
    Dimension("authorship", "Authorship", "Would a friend believe that you wrote it?",
              "no", "without a doubt"),
)  # fmt: skip
NAMES = tuple(dimension.name for dimension in RUBRIC)
