# %% [markdown]
# # 12.6 Tokenization: an alphabet that is learned by counting
#
# In an old printing shop there was a piece of metal type for every letter, and also a few pieces for
# letters that often stand together: _fi_, _th_, sometimes a whole _and_. Such pieces saved work, and any
# word could still be set letter by letter. Language models read text in such pieces. They are called
# *tokens*, and they are found by counting which neighbours stand together most often. Every chat assistant
# reads and writes tokens, its price is stated per token, and some of its odd mistakes with spelling and
# numbers come from them.
#
# **You will build** byte-pair encoding: training on paper and in plain code, then a tokenizer that takes
# any text, in any script, apart and puts it together again, then a fast form for a whole book. **You need**
# characters as input and their embeddings (11.6).

# %%
import heapq
import json
import random
import re
import tempfile
import time
from collections import Counter, defaultdict
from operator import add
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

HERE = Path(globals().get("__file__", "")).parent
rng = random.Random(0)

# %% [markdown]
# ## On paper first
#
# Sennrich, Haddow and Birch (2016) took an old trick for compressing files. Begin with characters, find
# the two neighbours that stand together most often, *merge* them into one new piece, and repeat. Their
# example is a text of sixteen words, with _low_ five times, _lower_ twice, _newest_ six times and
# _widest_ three times, and the mark `</w>` ends a word. How often does each pair occur? No word here
# holds a pair twice, so a pair counts as often as the words in which it stands:
#
# $$\begin{aligned}
#   \text{e s:} \quad & 6 \text{ (newest)} + 3 \text{ (widest)} = 9 \\
#   \text{s t:} \quad & 6 + 3 = 9 \\
#   \text{t </w>:} \quad & 6 + 3 = 9 \\
#   \text{w e:} \quad & 2 \text{ (lower)} + 6 \text{ (newest)} = 8 \\
#   \text{l o:} \quad & 5 \text{ (low)} + 2 \text{ (lower)} = 7
# \end{aligned}$$
#
# Three pairs are equal, and among equals we take the one met first, so _e s_ becomes _es_. Then the pairs
# are counted again, with _es_ as one piece.


# %%
def count_pairs(sequences, weights):
    """How often each pair of neighbours occurs, as a dict in the order in which the pairs are first met.

    sequences: lists of pieces; weights: how often each of the lists occurs.
    """
    counts = {}
    for sequence, weight in zip(sequences, weights, strict=True):
        for pair in zip(sequence, sequence[1:]):
            counts[pair] = counts.get(pair, 0) + weight
    return counts


def merge(sequence, pair, piece):
    """The sequence with every occurrence of the pair, from the left, replaced by the one piece."""
    merged = []
    i = 0
    while i < len(sequence):
        if tuple(sequence[i : i + 2]) == pair:
            merged.append(piece)
            i += 2
        else:
            merged.append(sequence[i])
            i += 1
    return merged


toy_weights = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
toy_sequences = [[*word, "</w>"] for word in toy_weights]
toy_merges = []
for _ in range(5):
    toy_counts = count_pairs(toy_sequences, toy_weights.values())
    toy_pair = max(toy_counts, key=toy_counts.get)  # among equals, max takes the first
    toy_sequences = [merge(sequence, toy_pair, "".join(toy_pair)) for sequence in toy_sequences]
    toy_merges.append("".join(toy_pair))
    shown = "   ".join(" ".join(sequence) for sequence in toy_sequences)
    print(f"{' + '.join(toy_pair):12s}{toy_counts[toy_pair]} times   {shown}")
assert toy_merges == ["es", "est", "est</w>", "lo", "low"]

# %% [markdown]
# After five merges _low_ is one piece, and _est_ at the end of a word is another. The word _lowest_ does not
# occur in the text, but it is now made of two known pieces.
#
# ## Neither characters nor words
#
# Why take such trouble? A model of text needs pieces with numbers, its *vocabulary*. Lesson 11.6 took
# characters, which are few, but a sentence becomes long, and the model spends effort on spelling. Words
# are long enough, but how many are there? We read _Moby-Dick_ and note each word that has not occurred
# before. And we ask how many words of the last tenth a list made from the first nine tenths would lack.
# (For a text of your own, in any script, change the path. The claims at the end are about this book.)

# %%
text = (HERE / "data" / "moby_dick.txt").read_text(encoding="utf-8")  # 1,190,317 characters
n_train = len(text) * 9 // 10
train_text, test_text = text[:n_train], text[n_train:]

words = re.findall(r"[^\W\d_]+", text.lower())  # runs of letters
if len(words) < 10:
    raise ValueError(f"a text of {len(words)} words is too short to keep back the last tenth")
first_met = {}
for place, word in enumerate(words, start=1):
    first_met.setdefault(word, place)
met_at = np.array(list(first_met.values()))  # (different words,) in rising order
n_seen = len(words) * 9 // 10
frequent = [word for word, _ in Counter(words[:n_seen]).most_common()]
list_sizes = [500, 1000, 2000, 4000, 8000, len(frequent)]
unknown = []
for size in list_sizes:
    known = set(frequent[:size])
    unknown.append(np.mean([word not in known for word in words[n_seen:]]))
    print(f"the {size:6,} most frequent words: {unknown[-1]:6.1%} of the last tenth is unknown")
once = np.mean([count == 1 for count in Counter(words).values()])
print(f"{len(words):,} words, {len(first_met):,} different ones, {once:.0%} of these occur once")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(met_at, np.arange(1, len(met_at) + 1), "-", color="C0")
left.axvline(n_seen, color="0.7", linewidth=0.8, zorder=0)
left.text(n_seen, 1000, "the last tenth →", ha="right", fontsize=8)
left.set(xlabel="words read", ylabel="different words met", title="Different words against words read")
right.semilogx(list_sizes, 100 * np.array(unknown), "o-", color="C0", markerfacecolor="none")
right.set(xlabel="words in the list", ylabel="unknown words in the last tenth (%)", ylim=(0, None))
right.set_title("What a list of words lacks")
plt.show()

# %% [markdown]
# On the left the curve bends, but it does not become level, because new words keep coming until the last
# page. On the right even the list of all words read so far lacks some in every hundred. And of all
# different words more than a third occur only once, too seldom to learn anything about them. What we want
# lies in between: whole pieces for what is frequent, spelling for what is rare.
#
# ## Bytes and chunks
#
# Two decisions come before the counting, and the first is which characters to begin with, for Unicode has
# more than a hundred thousand. But in a file every text is a sequence of *bytes*, numbers from 0 to 255,
# and the encoding UTF-8 writes an English letter as one byte, and other characters as two to four. If we
# begin with the 256 bytes, nothing can ever be unknown.

# %%
for character in "wé鯨🐳":
    print(character, list(character.encode("utf-8")))
assert [len(character.encode("utf-8")) for character in "wé鯨🐳"] == [1, 2, 3, 4]

# %% [markdown]
# The second decision is how far a piece may reach. A vocabulary with _dog._ and _dog,_ and _dog!_ would
# waste its rows. So the text is first cut into *chunks*, and pairs are counted within chunks only: letters
# together with the space before them, digits, other signs, white space (whose last space goes to the word
# that follows). In Python's regular expressions `[^\W\d_]` is a letter of any alphabet: not a non-word
# sign, not a digit, and no underscore.

# %%
CHUNK = re.compile(
    r" ?[^\W\d_]+"  # letters, with the space before them
    r"| ?\d+"  # digits
    r"| ?(?:[^\w\s]|_)+"  # other signs, and the underscore
    r"|\s+(?!\S)"  # white space, but without its last character if something else follows
    r"|\s+"  # white space that is left
)

sample = "Call me Ishmael. Some years ago—never   mind how_long, 1851 or so…"
print(CHUNK.findall(sample))
assert "".join(CHUNK.findall(sample)) == sample
assert len("".join(CHUNK.findall(text))) == len(text)  # no character is lost

# %% [markdown]
# ## Training
#
# The training loop is the one of the toy text. The pieces are now numbers, the tokens: 0 to 255 are the
# bytes, and the first merge makes token 256, the second 257, and so on. What training leaves behind is the
# list of merges, in their order.


# %%
def train_naive(text, vocab_size):
    """The merges of byte-pair encoding, as pairs of tokens in the order learned, counted again each time.

    They are fewer than vocab_size - 256 if every chunk is one token before. Among pairs that are equally
    frequent the one met first is merged. Raises ValueError for a vocab_size under 256, the bytes.
    """
    if vocab_size < 256:
        raise ValueError(f"a vocabulary holds at least the 256 bytes, got {vocab_size}")
    chunks = [list(chunk.encode("utf-8")) for chunk in CHUNK.findall(text)]
    merges = []
    while len(merges) < vocab_size - 256:
        counts = count_pairs(chunks, [1] * len(chunks))
        if not counts:
            break
        pair = max(counts, key=counts.get)
        chunks = [merge(chunk, pair, 256 + len(merges)) for chunk in chunks]
        merges.append(pair)
    return merges


def token_bytes(merges):
    """What each token stands for: 256 single bytes, then for each merge the bytes of its two parts."""
    vocabulary = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        vocabulary.append(vocabulary[left] + vocabulary[right])
    return vocabulary


few_merges = train_naive(train_text[:20_000], 276)
print([token.decode("utf-8") for token in token_bytes(few_merges)[256:]])

# %% [markdown]
# The first merges are pairs of frequent letters, often with a space before them, and the first short words
# follow soon.
#
# ## Encode and decode
#
# To *encode* a new text, we cut it into chunks and merge as training did: of all pairs in the chunk that
# have a merge, the one learned first goes first. To *decode*, we look up the bytes of each token and join
# them. Words repeat, so each chunk is worked out once and remembered.
#
# Two cases need care. The input may be _bytes_ that are no valid text, such as a file that was cut in the
# middle of a character. They should survive encoding and decoding, too. Python can carry such bytes in a
# string for us (`surrogateescape`). But a _string_ that contains half of a character cannot be written as
# UTF-8 at all, so we refuse it.


# %%
class Tokenizer:
    """Byte-level byte-pair encoding with the merges that `train` returned."""

    def __init__(self, merges):
        self.merges = merges
        self.rank = {pair: k for k, pair in enumerate(merges)}  # when a pair was learned
        self.vocabulary = token_bytes(merges)
        self.known_chunks = {}

    def encode_chunk(self, chunk):
        """The tokens of one chunk, bytes: of all merges that apply the first learned, until none does."""
        tokens = list(chunk)
        while len(tokens) > 1:
            pairs = zip(tokens, tokens[1:])
            never = len(self.merges)  # later than every rank: for pairs that were not learned
            pair = min(pairs, key=lambda p: self.rank.get(p, never))  # of all pairs the one learned first
            if pair not in self.rank:
                break
            tokens = merge(tokens, pair, 256 + self.rank[pair])
        return tokens

    def encode(self, text):
        """The tokens of a str, or of any bytes; a str with half a character in it raises ValueError."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        else:
            text.encode("utf-8")  # raises UnicodeEncodeError, which is a ValueError, for half a character
        tokens = []
        for chunk in CHUNK.findall(text):
            if chunk not in self.known_chunks:
                self.known_chunks[chunk] = self.encode_chunk(chunk.encode("utf-8", "surrogateescape"))
            tokens += self.known_chunks[chunk]
        return tokens

    def decode_bytes(self, tokens):
        """The bytes of a sequence of tokens; raises ValueError for a number that is no token."""
        wrong = [token for token in tokens if not 0 <= token < len(self.vocabulary)]
        if wrong:
            raise ValueError(f"tokens are 0 to {len(self.vocabulary) - 1}, got {wrong[0]}")
        return b"".join([self.vocabulary[token] for token in tokens])

    def decode(self, tokens, errors="replace"):
        """The text of a sequence of tokens, with "�" for bytes that are none; errors as in `bytes.decode`."""
        return self.decode_bytes(tokens).decode("utf-8", errors)


# %% [markdown]
# Does everything survive the way there and back? We try strings that the book does not contain, then random
# strings, then random bytes.

# %%
small_tokenizer = Tokenizer(few_merges)
strings = ["", " ", "Queequeg", "naïve café", "白鲸 🐳", "a\r\n\tb  \n\n c", "١٢٣ ½ x² __init__"]
strings += ["".join(chr(rng.randrange(0xD800)) for _ in range(rng.randrange(30))) for _ in range(200)]
for string in strings:
    assert small_tokenizer.decode(small_tokenizer.encode(string)) == string
for _ in range(200):
    data = rng.randbytes(rng.randrange(30))
    assert small_tokenizer.decode_bytes(small_tokenizer.encode(data)) == data
print(f"{len(strings)} strings and 200 byte strings came back unchanged")

whale = small_tokenizer.encode("🐳")
print(f"{whale} decodes to {small_tokenizer.decode(whale)}, and without its last token to", end=" ")
print(small_tokenizer.decode(whale[:-1]))
spelled = list(b"there")
print(f"{spelled} decodes to {small_tokenizer.decode(spelled)}, which encodes to", end=" ")
print(small_tokenizer.encode("there"))
assert small_tokenizer.decode(spelled) == "there" and small_tokenizer.encode("there") != spelled

# %% [markdown]
# All of them came back, but the last line shows that the other direction has no such promise: five single
# letters decode to _there_, but encoding never gives those five tokens. Many sequences of tokens stand for
# one text, and a model meets only one of them.
#
# ## The same, faster
#
# The naive form walks through the whole text for every merge. For the book and thousands of merges that is
# too slow (how long it would take is estimated below), so the rest of the lesson needs a faster form.
# Three changes give the same merges:
#
# 1. _Count chunks once._ The chunk " the" occurs thousands of times: keep one copy and its number.
# 2. _Touch only what changes._ Remember for each pair in which chunks it occurs. A merge visits those and
#    corrects the counts.
# 3. _Let C do the walking._ A chunk becomes a Python string with one character per token, so that a pair is
#    a string of two, and a merge is `str.replace`.
#
# The price is bookkeeping and code that is harder to read, so you can take the function `train` as given.


# %%
class PairTable:
    """The different chunks of a text, and for every pair of neighbours its count and the chunks it is in."""

    def __init__(self, text):
        chunks = Counter(CHUNK.findall(text))  # in the order first met
        self.words = [chunk.encode("utf-8").decode("latin-1") for chunk in chunks]  # one character a byte
        self.weights = list(chunks.values())
        self.counts = defaultdict(int)
        self.where = defaultdict(set)
        self.size = {chr(byte): 1 for byte in range(256)}  # bytes in a token
        for k, (word, weight) in enumerate(zip(self.words, self.weights)):
            for pair in map(add, word, word[1:]):  # each character joined to the next: strings of two
                self.counts[pair] += weight
                self.where[pair].add(k)

    def merge(self, pair, token):
        """Replace the pair by the token everywhere; returns the pairs that this brought into being."""
        self.size[token] = self.size[pair[0]] + self.size[pair[1]]
        born = set()
        for k in self.where.pop(pair):
            word, weight = self.words[k], self.weights[k]
            if pair not in word:  # an earlier merge took it away
                continue
            self.words[k] = word.replace(pair, token)
            for neighbours in map(add, word, word[1:]):
                self.counts[neighbours] -= weight
            for neighbours in map(add, self.words[k], self.words[k][1:]):
                self.counts[neighbours] += weight
                if token in neighbours:
                    self.where[neighbours].add(k)
                    born.add(neighbours)
        return born

    def entry(self, pair):
        """(-count, chunk, bytes before it, pair): sorts by count, then by where the pair is first met."""
        self.where[pair] = {k for k in self.where[pair] if pair in self.words[k]}
        k = min(self.where[pair])
        before = self.words[k][: self.words[k].index(pair)]
        return -self.counts[pair], k, sum(map(self.size.get, before)), pair


# %% [markdown]
# The most frequent pair must be found without a look at every one, and a *heap* hands out its smallest
# entry quickly. Counts only fall after a pair has come into being, so an entry may promise too much,
# never too little: if one comes up that is out of date, it is put back with its true count.


# %%
def train(text, vocab_size):
    """The same merges as `train_naive`, from the different chunks and a heap; raises the same ValueError."""
    if vocab_size < 256:
        raise ValueError(f"a vocabulary holds at least the 256 bytes, got {vocab_size}")
    table = PairTable(text)
    merges = []
    heap = [table.entry(pair) for pair in table.counts]
    heapq.heapify(heap)
    while heap and len(merges) < vocab_size - 256:
        negative_count, _, _, pair = heapq.heappop(heap)
        if -negative_count == table.counts[pair]:
            merges.append((ord(pair[0]), ord(pair[1])))
            for born in table.merge(pair, chr(255 + len(merges))):
                heapq.heappush(heap, table.entry(born))
        elif table.counts[pair]:
            heapq.heappush(heap, table.entry(pair))
    return merges


# %%
seconds = {}
found_merges = {}
for function in (train_naive, train):
    start = time.perf_counter()
    found_merges[function] = function(train_text[:20_000], 300)
    seconds[function] = time.perf_counter() - start
    print(f"{function.__name__:20s}{seconds[function]:8.3f} s")
assert found_merges[train] == found_merges[train_naive]
n_times = len(train_text) / 20_000 * (4096 - 256) / (300 - 256)  # so many times the text and the merges
print(f"the naive form at this pace, for the next line: {n_times * seconds[train_naive] / 60:.0f} minutes")

start = time.perf_counter()
merges = train(train_text, 4096)
vocabulary = token_bytes(merges)
print(f"nine tenths of the book, {len(vocabulary):,} tokens: {time.perf_counter() - start:.1f} s")
print("first  ", [token.decode("utf-8", "replace") for token in vocabulary[256:272]])
print("longest", [token.decode("utf-8", "replace") for token in sorted(vocabulary, key=len)[-8:]])

# %% [markdown]
# Both forms give the same merges, ties included. A merge depends only on those before it, so a smaller
# vocabulary is the beginning of a larger one, and one training serves for all sizes.
#
# ## How large a vocabulary?
#
# Here is one sentence, cut with five vocabularies. Which of its words does the book know?

# %%
tokenizers = {size: Tokenizer(merges[: size - 256]) for size in (256, 300, 512, 1024, 4096)}
sentence = "The whale unfriended Captain Ahab in 2026."
cuts = {}
for size, sized in tokenizers.items():
    cuts[size] = [sized.decode([token]) for token in sized.encode(sentence)]

fig, ax = plt.subplots(figsize=(10, 2.8), layout="constrained")
for row, pieces in enumerate(cuts.values()):
    start = 0
    for k, piece in enumerate(pieces):
        shade = ("0.97", "0.85")[k % 2]
        ax.add_patch(Rectangle((start, -row - 0.4), len(piece), 0.8, facecolor=shade, edgecolor="0.4"))
        for i, letter in enumerate(piece):
            ax.text(start + i + 0.5, -row, letter, ha="center", va="center", family="monospace", fontsize=10)
        start += len(piece)
    ax.text(start + 0.5, -row, f"{len(pieces)} tokens", va="center", fontsize=9)
ax.set(xlim=(0, len(sentence) + 5), ylim=(-len(cuts) + 0.4, 0.6), ylabel="vocabulary", xticks=[])
ax.set_yticks([-row for row in range(len(cuts))], [f"{size:,}" for size in cuts])
ax.set_title("One sentence in five vocabularies")
plt.show()

# %% [markdown]
# From the top to the bottom the pieces get longer. In the largest vocabulary frequent words are one token
# each, with the space before them, and the word _unfriended_, which Melville did not know, is spelled in
# pieces, and the year is read digit by digit.
#
# Longer pieces mean shorter sequences, and everything that costs per position gets cheaper. But every
# token needs a row in the embedding table, and the row of a rare token is trained rarely. We measure both
# sides of this trade, on the text used for training and on the last tenth of the book.


# %%
def token_counts(tokenizer, text):
    """How often each token occurs in the encoded text: (vocabulary,)."""
    return np.bincount(tokenizer.encode(text), minlength=len(tokenizer.vocabulary))


table_sizes = (256, 512, 1024, 2048, 4096)
train_rates = []
test_rates = []
rare = []
print(
    f"{'vocabulary':20s}{'train':>12s}{'test':>12s}{'rare':>12s}   (bytes per token; rare: under 100 times)"
)
for size in table_sizes:
    sized = Tokenizer(merges[: size - 256])
    counts = token_counts(sized, train_text)
    test_counts = token_counts(sized, test_text)
    train_rates.append(len(train_text.encode("utf-8")) / counts.sum())
    test_rates.append(len(test_text.encode("utf-8")) / test_counts.sum())
    rare.append(np.mean(counts[256:] < 100) if size > 256 else 0.0)
    print(f"{size:<20,d}{train_rates[-1]:12.2f}{test_rates[-1]:12.2f}{rare[-1]:12.0%}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.semilogx(table_sizes, train_rates, "o-", color="C0", markerfacecolor="none", label="training text")
left.semilogx(table_sizes, test_rates, "s--", color="C1", markerfacecolor="none", label="last tenth")
left.set(ylabel="bytes per token", title="How much text one token holds")
left.legend()
right.semilogx(table_sizes[1:], 100 * np.array(rare[1:]), "o-", color="C0", markerfacecolor="none")
right.set(ylabel="merged tokens seen under 100 times (%)", title="How many tokens are rare")
for ax in (left, right):
    ax.set_xticks(table_sizes, [f"{size:,}" for size in table_sizes])
    ax.minorticks_off()
    ax.set_xlabel("vocabulary")
plt.show()

# %% [markdown]
# On the left, each doubling of the vocabulary adds less, and the last tenth is cut nearly as well as the
# training text. On the right, the larger the table, the more of it is rare: at 4,096 most tokens occur less
# than a hundred times in the whole book. Large models have vocabularies of 30,000 to 250,000, and texts a
# million times as long.
#
# ## What a tokenizer does to names, numbers and other languages
#
# Our vocabulary was learned from one English novel. Other text can be encoded, too, but how many tokens
# does it take? A model reads a limited number of tokens at once. So more tokens mean that it sees less
# text, takes more time and costs more money. The middle dot marks where the 1,024-token vocabulary cuts.

# %%
examples = {
    "English": " the white whale",
    "a name": " Queequeg",
    "shouted": " WHALE",
    "a number": " 1851",
    "code": "for i in range(10):",
    "German": " der weiße Wal",
    "Russian": " белый кит",
    "Chinese": "白鲸",
    "Hindi": " सफ़ेद व्हेल",
    "emoji": "🐳",
}
tokenizer = tokenizers[1024]
per_character = {}
print(f"{'':12s}{'characters':>12s}{'bytes':>8s}{'tokens':>8s}   cut")
for name, string in examples.items():
    pieces = [tokenizer.decode([token]) for token in tokenizer.encode(string)]
    per_character[name] = len(pieces) / len(string)
    n_bytes = len(string.encode("utf-8"))
    print(f"{name:12s}{len(string):12d}{n_bytes:8d}{len(pieces):8d}   {'·'.join(pieces)}")

# %% [markdown]
# _Queequeg_ is one token, because his name is frequent in this book. Capital letters and digits are rare
# here, so a shouted word and a year are spelled. Tokenizers trained on the web may have merges for some
# numbers and not for others, and how they cut changes how well a model adds (Singh and Strouse 2024).
# Scripts that the training text lacks fall back to bytes, two to four per character. The remedy is to
# train on what will be read.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
new_late = np.sum(met_at > n_seen) / (len(words) - n_seen)
assert new_late > 0.015, "new words keep coming until the last page"
assert 0.015 < unknown[-1] < 0.06, "the list of all words read lacks some in every hundred"
assert once > 1 / 3, "more than a third of the different words occur only once"
n_pieces = [len(pieces) for pieces in cuts.values()]
assert n_pieces == sorted(n_pieces, reverse=True), "a larger vocabulary cuts the sentence into fewer pieces"
assert " Captain" in cuts[4096], "in the largest vocabulary frequent words are one token, with their space"
assert " unfriended" not in cuts[4096], "a word that Melville did not know is spelled in pieces"
gains = np.diff(test_rates)
assert all(gains > 0) and all(np.diff(gains) < 0), "each doubling of the vocabulary adds less"
assert test_rates[-1] > 0.9 * train_rates[-1], "the last tenth is cut nearly as well as the training text"
assert rare[-1] > 0.5, "at 4,096 most tokens occur less than a hundred times"
assert rare == sorted(rare), "the larger the table, the more of it is rare"
assert per_character["a name"] == 1 / len(" Queequeg"), "Queequeg is one token"
assert per_character["a number"] == 1, "a year is read digit by digit"
assert per_character["English"] < per_character["shouted"], "a shouted word takes more tokens"
assert per_character["shouted"] < per_character["Russian"], "a script that the book lacks takes more still"

# %% [markdown]
# ## Going further
#
# This can be skipped, but it is what a tokenizer needs in a real system, and lesson 12.9 meets such
# tokens.
#
# ### Special tokens, and a file
#
# Models also need signs that no text contains, such as "here a document ends". These *special tokens* get
# numbers of their own, after all merges. If a user types `<|end|>`, it must stay seven ordinary signs, or
# anyone could end a document. So the plain `encode` never makes a special token, and `encode_special` makes
# those that its caller names.


# %%
class SpecialTokenizer(Tokenizer):
    """A `Tokenizer` with special tokens, numbered last, that can be written to a file.

    Raises ValueError if a special token is empty or given twice.
    """

    def __init__(self, merges, special_tokens=()):
        super().__init__(merges)
        if len(set(special_tokens)) < len(special_tokens) or "" in special_tokens:
            raise ValueError(f"special tokens must be different and not empty, got {special_tokens}")
        self.special_tokens = {name: len(self.vocabulary) + i for i, name in enumerate(special_tokens)}
        self.vocabulary += [name.encode("utf-8") for name in special_tokens]

    def encode_special(self, text, allowed):
        """As encode, with the special tokens in `allowed` obeyed; raises ValueError for unknown names."""
        unknown = [name for name in allowed if name not in self.special_tokens]
        if unknown:
            raise ValueError(f"unknown special token {unknown[0]!r}, there are {list(self.special_tokens)}")
        if not allowed:
            return self.encode(text)
        longest_first = sorted(allowed, key=len, reverse=True)
        pattern = "(" + "|".join(re.escape(name) for name in longest_first) + ")"
        tokens = []
        for k, part in enumerate(re.split(pattern, text)):  # every second part is a special token
            tokens += [self.special_tokens[part]] if k % 2 else self.encode(part)
        return tokens

    def save(self, path):
        """Write merges and special tokens as JSON."""
        content = {"merges": self.merges, "special_tokens": list(self.special_tokens)}
        Path(path).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, path):
        """The tokenizer in a file written by `save`; raises ValueError, with the path, if it is damaged."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            merges = [(left, right) for left, right in content["merges"]]
            for token, pair in enumerate(merges, start=256):
                if not all(isinstance(part, int) and 0 <= part < token for part in pair):
                    raise ValueError(f"token {token} must merge two earlier ones, got {pair}")
            if len(set(merges)) < len(merges):
                raise ValueError("a merge is there twice")
            return cls(merges, content["special_tokens"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error


# %%
with_end = SpecialTokenizer(merges[: 1024 - 256], ["<|end|>"])
typed = with_end.encode("Call me<|end|>")
obeyed = with_end.encode_special("Call me<|end|>", ["<|end|>"])
print(f"typed {typed}\nobeyed {obeyed}")
assert obeyed[-1] == 1024 not in typed and with_end.decode(typed) == with_end.decode(obeyed)
with tempfile.TemporaryDirectory() as folder:
    with_end.save(Path(folder) / "tokenizer.json")
    again = SpecialTokenizer.load(Path(folder) / "tokenizer.json")
assert (again.merges, again.special_tokens) == (with_end.merges, with_end.special_tokens)

# %% [markdown]
# If it is typed, the name is seven ordinary signs, and if it is obeyed, it is the one token after all
# others; both decode to the same text.
#
# ## What to remember
#
# - Characters make sequences long, and lists of words are never complete. Tokens lie in between: frequent
#   pieces whole, rare ones spelled.
# - Byte-pair encoding merges the most frequent pair of neighbours, again and again. The list of merges, in
#   order, is the tokenizer.
# - If one begins with bytes, every text can be encoded, and `decode(encode(text)) == text`.
# - A larger vocabulary shortens the text by less each time, and trains each token less often.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Let chunks have no space: remove both the blank and the question mark before `[^\W\d_]+` in `CHUNK`.
#    How will the cuts of the sentence change, in the second figure, and will one token hold more text or
#    less?
# 2. Train on a tenth of the book only, `n_train = len(text) // 10`. Which columns of the table with bytes
#    per token will change most, and which claim fails first?
# 3. From a blank cell at the end: write `count_tokens(string)` for the 1,024-token vocabulary, and find the
#    word of at least eight letters in the last tenth of the book that takes the most tokens per letter.
#
# ## Sources
#
# - P. Gage, "A new algorithm for data compression", The C Users Journal 12, 1994: byte pairs.
# - R. Sennrich, B. Haddow, A. Birch, "Neural machine translation of rare words with subword units", ACL
#   2016, section 3.2: the merges and the toy text. Reproduced: test_toy_text_gives_the_merges_of_the_paper.
# - A. Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.2: bytes, and
#   cutting into chunks first.
# - A. K. Singh, D. J. Strouse, "Tokenization counts: the impact of tokenization on arithmetic in frontier
#   LLMs", 2024.
# - H. S. Heaps, _Information Retrieval_, 1978, section 7.5: how a vocabulary grows. Reproduced: "new words
#   keep coming until the last page".
# - H. Melville, _Moby-Dick; or, The Whale_, 1851: the data.
