"""A small CLIP vocabulary of our own and what transformers' CLIPTokenizer makes of odd texts.

    pip install transformers==4.46.3 ftfy==6.3.1
    python tests/goldens/gen/tokenizer.py tests/goldens/tokenizer

With a second argument, the folder of another vocabulary (vocab.json, merges.txt), only its ids are
written, as texts.json in that folder: a check against CLIP's own vocabulary, which is not kept here.
"""

import collections
import json
import pathlib
import random
import sys

from transformers import CLIPTokenizer

CORPUS = """
masterpiece, best quality, highres, one girl, solo, beautiful face, soft skin, costume, eye blinks,
head wave, peaceful beautiful sea scene, playing guitar, a photograph of an astronaut, a cup of
coffee on a wooden table, a cat looking at the camera, waves, water, light, wind, hair, slowly,
worst quality, low quality, normal quality, lowres, monochrome, grayscale, skin spots, extra legs,
long neck, mutated hands, fused fingers, too many fingers, it's the cat's coffee, they're, 1boy, 2girls
"""
TEXTS = [
    "", " ", "a", "A", "masterpiece, best quality", "MASTERPIECE", "  two   spaces\tand\nlines  ",
    "it's they're we've I'm he'll she'd", "IT'S", "don't", "'s", "''s", "1boy", "12345", "3.14",
    "a1b2c3", "...", "!!!", "hello!?world", "a-b_c", "caf\u00e9", "cafe\u0301", "na\u00efve",
    "\u00c4RGER stra\u00dfe", "\u6d77\u8fb9\u7684\u5973\u5b69", "\u043f\u0440\u0438\u0432\u0435\u0442",
    "\U0001f600 smile", "\U0001f469\u200d\U0001f680", "<|endoftext|>", "a<|endoftext|>b",
    "<|startoftext|> a", "(beautiful:1.3)", "[less]", "\u2019s", "\u201cquoted\u201d", "it\u2019s",
    "\uff08\u5168\u89d2\uff0c\uff11\uff09", "\u3000wide space", "\u00a0nbsp", "x\u00b2", "\u0663", "\u2155",
    "tab\tseparated", "zero\u200bwidth", "#hashtag @user", "a/b\\c", "$5 & 10%", "\u00bd cup",
    "hyphen\u2014dash", "ellipsis\u2026", "\u00abguillemets\u00bb", "\u4e00", "\uac00\ub098", "\u0e01\u0e32",
    "\u0130stanbul", "\u03a3\u0391\u03a3", "long" * 40, "qzxj", "_", "__init__", "a_b", "'", '"', "''", "`",
]


def byte_symbols():
    """The characters that byte-level vocabularies write bytes with, in CLIP's order."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in keep]
    return {b: chr(b) for b in keep} | {b: chr(256 + i) for i, b in enumerate(rest)}


def train(merges):
    symbols = byte_symbols()
    words = collections.Counter()
    for word in CORPUS.replace(",", " , ").split():
        pieces = [symbols[b] for b in word.lower().encode()]
        words[(*pieces[:-1], pieces[-1] + "</w>")] += 1
    pairs = []
    while len(pairs) < merges:
        counts = collections.Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                counts[pair] += count
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        pairs.append(best)
        merged = collections.Counter()
        for word, count in words.items():
            new, i = [], 0
            while i < len(word):
                step = 2 if word[i : i + 2] == best else 1
                new.append("".join(word[i : i + step]))
                i += step
            merged[tuple(new)] += count
        words = merged
    letters = list(symbols.values())
    tokens = letters + [s + "</w>" for s in letters] + ["".join(pair) for pair in pairs]
    return tokens + ["<|startoftext|>", "<|endoftext|>"], pairs


def random_texts(count):
    rng = random.Random(7)
    alphabet = "abcdefghij  ,,.'s()[]:0123\u00e9\u00df\u4e2d\u2019\"!?-_ABC\n\t"
    words = CORPUS.split()
    texts = ["".join(rng.choices(alphabet, k=rng.randint(1, 30))) for _ in range(count)]
    return texts + [" ".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(count)]


def main():
    folder = pathlib.Path(sys.argv[1])
    if len(sys.argv) == 2:
        tokens, pairs = train(300)
        vocab = {token: i for i, token in enumerate(tokens)}
        (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False) + "\n")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in pairs)]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    else:
        folder = pathlib.Path(sys.argv[2])
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    texts = TEXTS + random_texts(100)
    rows = [{"text": text, "ids": tokenizer(text).input_ids[1:-1]} for text in texts]
    lines = ",\n".join(json.dumps(row) for row in rows)
    (folder / "texts.json").write_text(f"[\n{lines}\n]\n")


main()
