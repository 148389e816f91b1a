# %% [markdown]
# # 12.6 Tokenization: an alphabet that learns its own letters
#
# Open a drawer of metal type from an old printing shop. There is a piece for every letter, and also a few
# for letters that often stand together: *fi*, *th*, sometimes a whole *and*. Such pieces save work, and
# any word can still be set letter by letter. A language model reads text from such a drawer, and it fills
# the drawer itself, by counting.
#
# **You will build** byte-pair encoding: the counting first, clear and slow, then the same from counts that
# are kept up to date, then a tokenizer that takes any text, in any script, apart and puts it together
# again. **You need** n-grams and embeddings (11.6).

# %%
import heapq
import json
import random
import re
import tempfile
import time
from collections import Counter, defaultdict
from itertools import repeat
from operator import add
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

HERE = Path(globals().get("__file__", "")).parent
rng = random.Random(0)

text = (HERE / "data" / "moby_dick.txt").read_text(encoding="utf-8")  # 1,190,317 characters
n_train = len(text) * 9 // 10
train_text, test_text = text[:n_train], text[n_train:]

# %% [markdown]
# ## Neither characters nor words
#
# A model of text needs pieces with numbers: its *vocabulary*. Lesson 11.6 took characters. They are few,
# but a sentence becomes long, and the model spends effort on spelling. Words are long enough, but how many
# are there? We read *Moby-Dick* and note each word that we have not met before.

# %%
words = re.findall(r"[^\W\d_]+", text.lower())  # runs of letters
first_met = {}
for place, word in enumerate(words, start=1):
    first_met.setdefault(word, place)
met_at = np.array(list(first_met.values()))  # (different words,) in rising order
n_seen = len(words) * 9 // 10
frequent = [word for word, _ in Counter(words[:n_seen]).most_common()]
sizes, unknown = [500, 1000, 2000, 4000, 8000, len(frequent)], []
for size in sizes:
    known = set(frequent[:size])
    unknown.append(np.mean([word not in known for word in words[n_seen:]]))
    print(f"the {size:6,} most frequent words: {unknown[-1]:6.1%} of the last tenth is unknown")
once = np.mean([count == 1 for count in Counter(words).values()])
print(f"{len(words):,} words, {len(first_met):,} different ones, {once:.0%} of these stand there once")
new_late = np.sum(met_at > n_seen) / (len(words) - n_seen)
assert 0.015 < unknown[-1] < 0.06 and new_late > 0.015

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(met_at, np.arange(1, len(met_at) + 1), "-", color="C0")
left.axvline(n_seen, color="0.7", linewidth=0.8, zorder=0)
left.text(n_seen, 1000, "the last tenth →", ha="right", fontsize=8)
left.set(xlabel="words read", ylabel="different words met", title="New words do not stop coming")
right.semilogx(sizes, 100 * np.array(unknown), "o-", color="C0", markerfacecolor="none")
right.set(xlabel="words in the vocabulary", ylabel="unknown words in the last tenth (%)", ylim=(0, None))
right.set_title("No list of words is long enough")
plt.show()

# %% [markdown]
# Even the list of all words read so far misses some in every hundred, and many of the book's words stand
# there once, too seldom to learn anything about them. What we want is in between: whole pieces for what is
# frequent, spelling for what is rare.
#
# ## On paper first
#
# Sennrich, Haddow and Birch (2016) took an old trick for compressing files. Begin with characters. Find
# the two neighbours that stand together most often, and *merge* them into one new piece. Repeat. Their
# example is a text of sixteen words: *low* five times, *lower* twice, *newest* six times, *widest* three
# times. The mark `</w>` ends a word. The pair *e s* occurs $6 + 3 = 9$ times, and so do *s t* and *t*
# `</w>`. Among equals we take the one met first.


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
    merged, i = [], 0
    while i < len(sequence):
        found = tuple(sequence[i : i + 2]) == pair
        merged.append(piece if found else sequence[i])
        i += 2 if found else 1
    return merged


weights = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
sequences, toy_merges = [[*word, "</w>"] for word in weights], []
for _ in range(5):
    counts = count_pairs(sequences, weights.values())
    pair = max(counts, key=counts.get)  # among equals, max takes the first
    sequences = [merge(sequence, pair, "".join(pair)) for sequence in sequences]
    toy_merges.append("".join(pair))
    print(f"{' + '.join(pair):12s}{counts[pair]} times   {'   '.join(map(' '.join, sequences))}")
assert toy_merges == ["es", "est", "est</w>", "lo", "low"]

# %% [markdown]
# Five merges, and *low* is one piece, *est* at the end of a word another. A new word, *lowest*, is now two
# known pieces: a word never seen, and nothing about it is unknown.
#
# ## Bytes for letters
#
# Which characters to begin with? Unicode has more than a hundred thousand. But on disk every text is
# *bytes*, 256 different ones, and UTF-8 writes an English letter as one byte, *é* as two, a whale as four.
# Beginning with bytes, nothing can ever be unknown.

# %%
for character in "wé鯨🐳":
    print(character, list(character.encode("utf-8")))
assert [len(character.encode("utf-8")) for character in "wé鯨🐳"] == [1, 2, 3, 4]

# %% [markdown]
# One more decision: pieces must not reach across words. *of the* is frequent, but *dog.* and *dog,* and
# *dog!* in the vocabulary would be a waste. So the text is first cut into *chunks*, and pairs are counted
# within them: letters with the space before them, digits, other signs, white space (its last space goes to
# the word that follows). In Python's regular expressions `[^\W\d_]` is a letter of any alphabet: not a
# non-word sign, not a digit, no underscore.

# %%
CHUNK = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")

sample = "Call me Ishmael. Some years ago—never   mind how_long, 1851 or so…"
print(CHUNK.findall(sample))
assert "".join(CHUNK.findall(sample)) == sample
assert len("".join(CHUNK.findall(text))) == len(text)  # no character is lost

# %% [markdown]
# ## Naive and clear
#
# The training loop is the one of the toy text. Pieces are now numbers, the *tokens*: 0 to 255 are the
# bytes, and the $k$-th merge makes token $255 + k$. What training leaves behind is the list of merges, in
# order.


# %%
def train_naive(text, vocab_size):
    """The merges of byte-pair encoding, as pairs of tokens in the order learned, by counting anew each time.

    They are fewer than vocab_size - 256 where every chunk is one token before. Among pairs that are equally
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
        merges.append(max(counts, key=counts.get))
        chunks = [merge(chunk, merges[-1], 255 + len(merges)) for chunk in chunks]
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
# ## The same, faster
#
# Each merge walks through the whole text, although it changes little of it. Three remedies:
#
# 1. *Count chunks once.* " the" stands there thousands of times: keep one copy and its number.
# 2. *Touch only what changes.* Note for each pair in which chunks it occurs; a merge visits those and
#    corrects the counts.
# 3. *Let C do the walking.* A chunk becomes a Python string with one character a token, so that a pair is
#    a string of two, and a merge is `str.replace`.


# %%
class PairTable:
    """The different chunks of a text, and for every pair of neighbours its count and the chunks it is in."""

    def __init__(self, text):
        chunks = Counter(CHUNK.findall(text))  # in the order first met
        self.words = [chunk.encode("utf-8").decode("latin-1") for chunk in chunks]  # one character a byte
        self.weights = list(chunks.values())
        self.counts, self.where = defaultdict(int), defaultdict(set)
        self.size = {chr(byte): 1 for byte in range(256)}  # bytes in a token
        for k, (word, weight) in enumerate(zip(self.words, self.weights)):
            for pair in map(add, word, word[1:]):
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
# The most frequent pair must be found without looking at every one. A *heap* hands out its smallest entry
# quickly. Counts only fall after a pair is born, so an entry may promise too much, never too little: when
# one comes up that is out of date, we put it back with its true count. While the count holds, so does the
# place where the pair is first met.


# %%
def train(text, vocab_size):
    """The same merges as `train_naive`, from the different chunks and a heap; raises the same ValueError."""
    if vocab_size < 256:
        raise ValueError(f"a vocabulary holds at least the 256 bytes, got {vocab_size}")
    table, merges = PairTable(text), []
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


# %% [markdown]
# The same merges, ties included? And how much faster?

# %%
results, seconds = {}, {}
for f in (train_naive, train):
    started = time.perf_counter()
    results[f] = f(train_text[:20_000], 400)
    seconds[f] = time.perf_counter() - started
assert results[train] == results[train_naive]
print(f"the same {len(results[train])} merges, {seconds[train_naive] / seconds[train]:.0f} times as fast")

# %% [markdown]
# The naive form reads the whole text again for every merge. The fast form takes nine tenths of the book,
# and a vocabulary ten times as large, without trouble. A merge depends only on those before it, so a
# smaller vocabulary is the beginning of a larger one.

# %%
started = time.perf_counter()
merges = train(train_text, 4096)
vocabulary = token_bytes(merges)
print(f"nine tenths of the book, {len(vocabulary):,} tokens, {time.perf_counter() - started:.1f} s")
print("first  ", [token.decode("utf-8", "replace") for token in vocabulary[256:272]])
longest = sorted(vocabulary, key=len)[-8:]
print("longest", [token.decode("utf-8") for token in longest])
assert merges[:44] == train(train_text, 300)

# %% [markdown]
# ## Encode and decode
#
# To *encode*, cut new text into chunks and merge as training did: of all pairs in the chunk that have a
# merge, the earliest learned goes first. Words repeat, so each chunk is worked out once and remembered. To
# *decode*, look up each token's bytes and join them. Bytes that are no valid UTF-8, such as half a
# character, become "�" unless `errors` says otherwise; `decode_bytes` keeps them as they are.


# %%
class Tokenizer:
    """Byte-level byte-pair encoding with the merges that `train` returned; special tokens are numbered last.

    Raises ValueError where a special token is empty or there twice.
    """

    LAST = chr(0x10FFFF)  # after every token

    def __init__(self, merges, special_tokens=()):
        if len(set(special_tokens)) < len(special_tokens) or "" in special_tokens:
            raise ValueError(f"special tokens must be different and not empty, got {special_tokens}")
        self.merges, self.vocabulary = merges, token_bytes(merges)
        self.special_tokens = {name: len(self.vocabulary) + i for i, name in enumerate(special_tokens)}
        self.vocabulary += [name.encode("utf-8") for name in special_tokens]
        self.pairs = {chr(256 + i): chr(a) + chr(b) for i, (a, b) in enumerate(merges)}
        self.merged = {pair: token for token, pair in self.pairs.items()}
        self.known_chunks = {}

    def encode_chunk(self, chunk):
        """The tokens of one chunk, bytes: of all merges that apply the earliest learned, until none does."""
        word = chunk.decode("latin-1")
        while len(word) > 1:
            token = min(map(self.merged.get, map(add, word, word[1:]), repeat(self.LAST)))
            if token == self.LAST:
                break
            word = word.replace(self.pairs[token], token)
        return list(map(ord, word))

    def encode(self, text):
        """The tokens of a str, or of any bytes; a str with half a character in it raises ValueError."""
        errors = "strict" if isinstance(text, str) else "surrogateescape"
        text = text if isinstance(text, str) else text.decode("utf-8", errors)
        tokens, known = [], self.known_chunks
        for chunk in CHUNK.findall(text):
            if chunk not in known:
                known[chunk] = self.encode_chunk(chunk.encode("utf-8", errors))
            tokens += known[chunk]
        return tokens

    def decode_bytes(self, tokens):
        """The bytes of a sequence of tokens; raises ValueError for a number that is no token."""
        wrong = [token for token in tokens if not 0 <= token < len(self.vocabulary)]
        if wrong:
            raise ValueError(f"tokens are 0 to {len(self.vocabulary) - 1}, got {wrong[0]}")
        return b"".join([self.vocabulary[token] for token in tokens])

    def decode(self, tokens, errors="replace"):
        """The text of a sequence of tokens; errors as in `bytes.decode`."""
        return self.decode_bytes(tokens).decode("utf-8", errors)


# %% [markdown]
# There and back, for things that the book does not contain. First text in any script, then bytes that are
# no text at all.

# %%
tokenizer = Tokenizer(merges[: 1024 - 256])
for string in ("", " ", "Queequeg", "naïve café", "白鲸 🐳", "a\r\n\tb  \n\n c", "١٢٣ ½ x² __init__"):
    assert tokenizer.decode(tokenizer.encode(string)) == string
for _ in range(200):
    string = "".join(chr(rng.randrange(0xD800)) for _ in range(rng.randrange(30)))
    assert tokenizer.decode(tokenizer.encode(string)) == string
    data = rng.randbytes(rng.randrange(30))
    assert tokenizer.decode_bytes(tokenizer.encode(data)) == data

whale = tokenizer.encode("🐳")
whole, cut = tokenizer.decode(whale), tokenizer.decode(whale[:-1])
print(f"{whale} decodes to {whole}, and without its last token to {cut}")
assert (whole, cut) == ("🐳", "�")

# %% [markdown]
# The other way round there is no such promise: five letters spell *whale*, but encoding never gives those
# five tokens. Many sequences of tokens stand for one text, and a model meets only one of them.

# %%
spelled = [ord(letter) for letter in "whale"]
assert tokenizer.decode(spelled) == "whale"
print(f"{spelled} decodes to 'whale', which encodes to {tokenizer.encode('whale')}")
assert tokenizer.encode("whale") != spelled

tokenizer.known_chunks.clear()
started = time.perf_counter()
tokens = tokenizer.encode(test_text)
speed = len(test_text.encode("utf-8")) / (time.perf_counter() - started) / 1e6
print(f"the last tenth: {len(tokens):,} tokens, {speed:.1f} MB a second, from an empty memory")

# %% [markdown]
# ## Special tokens, and a file
#
# Models also need signs that no text contains: "here a document ends". These *special tokens* get numbers
# of their own. Where `<|end|>` is typed by a user it must stay seven ordinary signs, or anyone could end a
# document. So `encode_special` takes the names that it may obey, and refuses those it does not know.


# %%
def encode_special(self, text, allowed):
    """As encode, with the special tokens named in `allowed` obeyed; raises ValueError for unknown names."""
    unknown = [name for name in allowed if name not in self.special_tokens]
    if unknown:
        raise ValueError(f"unknown special token {unknown[0]!r}, there are {list(self.special_tokens)}")
    if not allowed:
        return self.encode(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)  # every second one is special
    ordinary = map(self.encode, parts[::2])
    special = [[self.special_tokens[name]] for name in parts[1::2]] + [[]]
    return [token for pair in zip(ordinary, special) for tokens in pair for token in tokens]


def save(self, path):
    """Write merges and special tokens as JSON."""
    content = {"merges": self.merges, "special_tokens": list(self.special_tokens)}
    Path(path).write_text(json.dumps(content), encoding="utf-8")


def load(path):
    """The tokenizer in a file written by `save`; raises ValueError, with the path, where it is damaged."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        merges = [(left, right) for left, right in content["merges"]]
        for token, pair in enumerate(merges, start=256):
            if not all(isinstance(part, int) and 0 <= part < token for part in pair):
                raise ValueError(f"token {token} must merge two earlier ones, got {pair}")
        if len(set(merges)) < len(merges):
            raise ValueError("a merge is there twice")
        return Tokenizer(merges, content["special_tokens"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


Tokenizer.encode_special, Tokenizer.save, Tokenizer.load = encode_special, save, staticmethod(load)

# %%
tokenizer = Tokenizer(merges[: 1024 - 256], ["<|end|>"])
typed, obeyed = tokenizer.encode("Call me<|end|>"), tokenizer.encode_special("Call me<|end|>", ["<|end|>"])
print(f"typed {typed}\nobeyed {obeyed}")
assert obeyed[-1] == 1024 not in typed and tokenizer.decode(typed) == tokenizer.decode(obeyed)
with tempfile.TemporaryDirectory() as folder:
    tokenizer.save(Path(folder) / "tokenizer.json")
    again = Tokenizer.load(Path(folder) / "tokenizer.json")
assert (again.merges, again.special_tokens) == (tokenizer.merges, tokenizer.special_tokens)

# %% [markdown]
# ## How large a vocabulary?
#
# Since a smaller vocabulary is a prefix of a larger one, one training answers for all sizes. We look at a
# sentence first, in which the book knows some words and others not.

# %%
tokenizers = {size: Tokenizer(merges[: size - 256]) for size in (256, 300, 512, 1024, 4096)}
sentence = "The whale unfriended Captain Ahab in 2026."
cuts = {
    size: [t.vocabulary[token].decode("utf-8") for token in t.encode(sentence)]
    for size, t in tokenizers.items()
}
for size, pieces in cuts.items():
    print(f"{size:5d}  {len(pieces):2d} tokens  {'|'.join(pieces)}")
lengths = [len(pieces) for pieces in cuts.values()]
assert lengths == sorted(lengths, reverse=True) and lengths[-1] < lengths[0] / 2

# %%
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
ax.set_title("Frequent words become one token, rare ones are spelled, in larger and larger pieces")
plt.show()

# %% [markdown]
# Longer pieces mean shorter sequences, and everything that costs per position gets cheaper. But every
# token needs a row in the embedding table, and a rare token's row is trained rarely. The two sides of the
# trade, on the part of the book that was used for training and on the last tenth:


# %%
def token_counts(tokenizer, text):
    """How often each token occurs in the encoded text: (vocabulary,)."""
    return np.bincount(tokenizer.encode(text), minlength=len(tokenizer.vocabulary))


table_sizes = (256, 512, 1024, 2048, 4096)
train_rates, test_rates, rare = [], [], []
print(f"{'vocabulary':20s}{'train':>12s}{'test':>12s}{'rare':>12s}   (bytes a token; rare: under 100 times)")
for size in table_sizes:
    coder = Tokenizer(merges[: size - 256])
    counts, test_counts = token_counts(coder, train_text), token_counts(coder, test_text)
    train_rates.append(len(train_text.encode("utf-8")) / counts.sum())
    test_rates.append(len(test_text.encode("utf-8")) / test_counts.sum())
    rare.append(np.mean(counts[256:] < 100) if size > 256 else 0.0)
    print(f"{size:<20,d}{train_rates[-1]:12.2f}{test_rates[-1]:12.2f}{rare[-1]:12.0%}")
assert test_rates[0] == 1 and test_rates == sorted(test_rates) and 2.2 < test_rates[2] < 3.0
gains = np.diff(test_rates)
assert all(later < earlier for earlier, later in zip(gains, gains[1:])) and rare[-1] > 0.5 > rare[2]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.semilogx(table_sizes, train_rates, "o-", color="C0", markerfacecolor="none", label="training text")
left.semilogx(table_sizes, test_rates, "s--", color="C1", markerfacecolor="none", label="last tenth")
left.set(ylabel="bytes a token", title="Each doubling shortens the text by less")
left.legend()
right.semilogx(table_sizes[1:], 100 * np.array(rare[1:]), "o-", color="C0", markerfacecolor="none")
right.set(ylabel="merged tokens seen under 100 times (%)", title="A large table is full of rarities")
for ax in (left, right):
    ax.set_xticks(table_sizes, [f"{size:,}" for size in table_sizes])
    ax.minorticks_off()
    ax.set_xlabel("vocabulary")
plt.show()

# %% [markdown]
# ## What a tokenizer does to numbers, names and other languages
#
# A drawer filled from one English novel serves English novels. Everything else still fits, and costs more:
# more tokens mean less text in a model's window, more time and more money. The middle dot marks where the
# 1,024-token vocabulary cuts.

# %%
coder = tokenizers[1024]
cost = {}
print(f"{'':12s}{'characters':>12s}{'bytes':>8s}{'tokens':>8s}   cut")
for name, string in {
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
}.items():
    pieces = [coder.vocabulary[token].decode("utf-8", "replace") for token in coder.encode(string)]
    cost[name] = len(pieces) / len(string)
    n_bytes = len(string.encode("utf-8"))
    print(f"{name:12s}{len(string):12d}{n_bytes:8d}{len(pieces):8d}   {'·'.join(pieces)}")
assert cost["English"] < cost["shouted"] < cost["Russian"] < cost["emoji"] == 4
assert cost["a name"] == 1 / len(" Queequeg") and cost["a number"] == 1

# %% [markdown]
# *Queequeg* is one token, because this book is about him. Digits are too rare here for merges, so a year
# is read digit by digit. Tokenizers trained on the web may have merges for some numbers and not for
# others, and how they cut changes how well a model adds (Singh and Strouse 2024). Scripts that the
# training text lacks fall back to bytes, two to four a character. The remedy is to train on what will be
# read.
#
# ## What to remember
#
# - Characters make sequences long, words are never complete. Tokens are in between: frequent pieces whole,
#   rare ones spelled.
# - Byte-pair encoding merges the most frequent pair of neighbours, again and again. The list of merges, in
#   order, is the tokenizer.
# - Beginning with bytes, every text can be encoded, and `decode(encode(text)) == text`.
# - A larger vocabulary shortens the text by less each time and trains each token less often.
# - Text does not decide what is special: the program does.
#
# ## Try it
#
# Predict first, then change it and run again.
#
# 1. Let `CHUNK` be `re.compile(r"(?s).+")`, so that nothing is cut (use ten thousand characters). Which
#    pieces appear, and how well do they compress the last tenth?
# 2. Drop the ` ?` before the letters. How many more tokens does the book need?
# 3. Train on two languages at once: the book and as much Python source code. Who pays?
#
# ## Sources
#
# - P. Gage, "A new algorithm for data compression", The C Users Journal 12, 1994: byte pairs.
# - R. Sennrich, B. Haddow, A. Birch, "Neural machine translation of rare words with subword units", 2016,
#   section 3.2: the merges and the toy text.
# - A. Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.2: bytes, and
#   cutting into chunks first.
# - A. K. Singh, D. J. Strouse, "Tokenization counts: the impact of tokenization on arithmetic in frontier
#   LLMs", 2024.
# - H. S. Heaps, *Information Retrieval*, 1978, section 7.5: how a vocabulary grows.
# - H. Melville, *Moby-Dick; or, The Whale*, 1851: the data.
