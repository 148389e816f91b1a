# %% [markdown]
# # 12.9 A pretrained encoder: other people's weights in your own blocks
#
# Few teams train a Transformer from nothing, and most take one that somebody has trained on a billion
# sentences and use what it has learned: to search a collection of documents by meaning, to sort mail by
# topic, to find questions that were asked before. The weights of such a _sentence encoder_ lie beside
# this lesson, in a file of 17 megabytes. Its blocks are the block of lesson 12.5. Can we put these
# weights into blocks of our own, get what the original gets, and find out what the result is good for,
# and what not?
#
# **You will build** the tokenizer, the encoder and its sentence vectors, check them against the original,
# and try them on _Moby-Dick_: search, paraphrases, and classifiers with few labels. **You need** logistic
# regression (3.3), transfer learning (9.5), the encoder block (12.5) and tokens (12.6). **It takes**
# about a minute.

# %%
import json
import math
import re
import time
import unicodedata
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(globals().get("__file__", "")).parent
rng = np.random.default_rng(0)

# %% [markdown]
# ## On paper first
#
# The encoder gives each token of a sentence a vector. To compare whole sentences, the vectors of a
# sentence are averaged (*mean pooling*) and the average is scaled to length one. The dot product of two
# such vectors is the cosine of their angle (2.1), from $-1$ to $1$. A sentence with the tokens $(3, 1)$
# and $(1, 3)$ and one padded place, and a second one with the single token $(3, 4)$:
#
# $$\begin{aligned}
#   \text{mean of the real tokens:} \quad & \tfrac12\bigl((3, 1) + (1, 3)\bigr) = (2, 2) \\
#   \text{length one:} \quad & (2, 2) / \sqrt 8 = (0.707, 0.707), \qquad (3, 4) / 5 = (0.6, 0.8) \\
#   \text{cosine:} \quad & 0.707 \cdot 0.6 + 0.707 \cdot 0.8 = 0.990
# \end{aligned}$$
#
# The padded place must not count, because with it the mean would be another, and the sentence would
# change with the length of its neighbours in the batch.


# %%
def mean_pool(x, real):
    """Mean over the real tokens, scaled to length one: x (B, T, D), real (B, T) boolean -> (B, D)."""
    total = (x * real[..., None]).sum(dim=1)  # (B, T, D) * (B, T, 1) -> (B, D)
    mean = total / real.sum(dim=1, keepdim=True)  # (B, D) / (B, 1)
    return mean / mean.norm(dim=1, keepdim=True)


padded_place = [9.0, 9.0]
paper_x = torch.tensor([[[3.0, 1.0], [1.0, 3.0], padded_place], [[3.0, 4.0], padded_place, padded_place]])
paper_real = torch.tensor([[True, True, False], [True, False, False]])  # (2, 3)
paper_vectors = mean_pool(paper_x, paper_real)  # (2, 2)
print(f"cosine on paper 0.990, in code {paper_vectors[0] @ paper_vectors[1]:.3f}")
assert abs((paper_vectors[0] @ paper_vectors[1]).item() - 0.7 * math.sqrt(2)) < 1e-6

# %% [markdown]
# ## The weights in the file
#
# The model is MiniLM, a post-norm stack of six blocks with width 384 and twelve heads, trained by others
# so that sentences of like meaning get vectors that point in like directions. To keep the file small,
# each row of a matrix is stored as whole numbers from $-127$ to $127$ and one scale, which is called
# *quantization*: a weight is its whole number times the scale of its row. The vectors (biases and norms)
# are stored as they are.


# %%
def read_weights(path):
    """(weights {name: float32 tensor}, vocabulary {piece: its row}) from the quantized file."""
    weights = {}
    with np.load(path) as archive:
        for name in archive.files:
            if name != "vocabulary" and not name.endswith(".scale"):
                array = archive[name].astype(np.float32)
                if f"{name}.scale" in archive.files:
                    array = array * archive[f"{name}.scale"][:, None]  # (rows, columns) * (rows, 1)
                weights[name] = torch.from_numpy(array)
        pieces = bytes(archive["vocabulary"]).decode("utf-8").split("\n")
    return weights, {piece: row for row, piece in enumerate(pieces)}


weights, vocabulary = read_weights(HERE / "data" / "minilm_l6_int8.npz")
counts = Counter()
for name, tensor in weights.items():
    counts[name.split(".")[0]] += tensor.numel()
for part, count in counts.items():
    print(f"{part:24s}{count:12,d} numbers")
print(f"{len(vocabulary):,d} pieces in the vocabulary, such as {list(vocabulary)[5000:5006]}")

# %% [markdown]
# Two fifths of the numbers are the table of token vectors; the six blocks have the rest.
#
# ## Word pieces
#
# The weights are tied to a tokenizer, because row 5,000 of the table is the vector of one certain piece.
# It is not byte-pair encoding (12.6) but its relative, *word pieces*. The text is set in small letters
# without accents and cut into words and punctuation marks. Each word is cut into the longest pieces of
# the vocabulary that fit, from left to right, and every piece but the first of a word begins with `##`. A
# word that cannot be cut becomes `[UNK]`, and `[CLS]` and `[SEP]` stand around each sentence, because
# they did in training.


# %%
def split_words(text):
    """Words and single punctuation marks, in small letters, without accents and control characters."""
    text = unicodedata.normalize("NFD", text.lower())
    parts = []
    for character in text:
        category = unicodedata.category(character)
        if character.isspace():
            parts.append(" ")
        elif category.startswith("P") or character in "$+<=>^`|~":
            parts.append(f" {character} ")
        elif category not in ("Mn", "Cc", "Cf"):  # accents, and characters that are not to be seen
            parts.append(character)
    return "".join(parts).split()


def word_pieces(text, vocabulary, most=128):
    """The pieces of a text, [CLS] first and [SEP] last; a text with more than `most` is cut off."""
    pieces = []
    for word in split_words(text):
        found = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if mark + word[start:end] in vocabulary), None)
            if end is None:
                found = ["[UNK]"]
                break
            found.append(mark + word[start:end])
            start = end
        pieces += found
    return ["[CLS]", *pieces[: most - 2], "[SEP]"]


reference = json.loads((HERE / "data" / "minilm_reference.json").read_text(encoding="utf-8"))
for sentence, expected in zip(reference["sentences"], reference["tokens"], strict=True):
    assert word_pieces(sentence, vocabulary) == expected, f"{sentence!r} is cut in another way"
print(*word_pieces("Queequeg harpooned unimaginable leviathans.", vocabulary))

# %% [markdown]
# All eight reference sentences give the pieces of the original. The book's names are whole pieces of this
# vocabulary or are put together from parts, so nearly every word can be read.
#
# ## The encoder
#
# Our own block is lesson 12.5's in post-norm form, with two differences that the weights demand: GELU
# (5.2) in place of ReLU, and a layer norm with a smaller `eps`. In front stand the sum of a token's
# vector and its position's vector (a learned table, 12.4) and a layer norm.

# %%
N_HEADS = 12


class EncoderBlock(nn.Module):
    """A post-norm block (12.5): attention and feed-forward network, each added and then normed.

    Raises ValueError if n_heads does not divide n_features.
    """

    def __init__(self, n_features, n_heads, n_hidden):
        super().__init__()
        if n_features % n_heads:
            raise ValueError(f"{n_heads} heads cannot share {n_features} features")
        self.n_heads = n_heads
        self.project_query = nn.Linear(n_features, n_features)
        self.project_key = nn.Linear(n_features, n_features)
        self.project_value = nn.Linear(n_features, n_features)
        self.project_out = nn.Linear(n_features, n_features)
        self.hidden = nn.Linear(n_features, n_hidden)
        self.back = nn.Linear(n_hidden, n_features)
        self.attention_norm = nn.LayerNorm(n_features, eps=1e-12)
        self.feed_forward_norm = nn.LayerNorm(n_features, eps=1e-12)

    def split(self, x):
        heads = x.unflatten(-1, (self.n_heads, -1))  # (B, T, D) -> (B, T, H, d)
        return heads.transpose(1, 2)  # (B, T, H, d) -> (B, H, T, d)

    def attend(self, x, real):
        """The output (B, T, D) and the weights (B, H, T, T) of self-attention that leaves out padding."""
        query = self.split(self.project_query(x))
        key = self.split(self.project_key(x))
        value = self.split(self.project_value(x))
        scores = query @ key.mT / math.sqrt(query.shape[-1])  # (B, H, T, d) @ (B, H, d, T) -> (B, H, T, T)
        scores = scores.masked_fill(~real[:, None, None, :], -math.inf)  # (B, T) -> (B, 1, 1, T)
        attention = scores.softmax(dim=-1)
        joined = (attention @ value).transpose(1, 2).flatten(2)  # (B, H, T, d) -> (B, T, H, d) -> (B, T, D)
        return self.project_out(joined), attention

    def forward(self, x, real):
        x = self.attention_norm(x + self.attend(x, real)[0])
        return self.feed_forward_norm(x + self.back(nn.functional.gelu(self.hidden(x))))


class SentenceEncoder(nn.Module):
    """Token rows (B, T), 0 for padding -> the stream after the last block (B, T, D)."""

    def __init__(self, n_tokens, n_positions, n_features, n_blocks):
        super().__init__()
        self.token_embedding = nn.Embedding(n_tokens, n_features)
        self.position_embedding = nn.Embedding(n_positions, n_features)
        self.norm = nn.LayerNorm(n_features, eps=1e-12)
        blocks = [EncoderBlock(n_features, N_HEADS, 4 * n_features) for _ in range(n_blocks)]
        self.blocks = nn.ModuleList(blocks)

    def embed(self, tokens):
        """What enters the first block."""
        positions = self.position_embedding.weight[: tokens.shape[1]]  # (T, D)
        return self.norm(self.token_embedding(tokens) + positions)  # (B, T, D) + (T, D) -> (B, T, D)

    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, tokens > 0)
        return x


# %% [markdown]
# The file has PyTorch's names, in which the three input matrices of a block are one. We cut them apart,
# and `load_state_dict` refuses to load if a name or a shape does not fit.

# %%
OUR_NAMES = {
    "self_attn.out_proj": "project_out",
    "linear1": "hidden",
    "linear2": "back",
    "norm1": "attention_norm",
    "norm2": "feed_forward_norm",
}


def our_state(weights):
    """The weights under the names of `SentenceEncoder`."""
    state = {}
    for name, tensor in weights.items():
        found = re.fullmatch(r"layers\.(\d+)\.(.+?)[._](weight|bias)", name)
        if found is None:
            state[name] = tensor
        elif found[2] == "self_attn.in_proj":
            parts = zip(("project_query", "project_key", "project_value"), tensor.chunk(3), strict=True)
            for part, third in parts:  # (3D, D) -> three (D, D), or (3D,) -> three (D,)
                state[f"blocks.{found[1]}.{part}.{found[3]}"] = third
        else:
            state[f"blocks.{found[1]}.{OUR_NAMES[found[2]]}.{found[3]}"] = tensor
    return state


encoder = SentenceEncoder(len(vocabulary), 128, 384, n_blocks=6)
encoder.load_state_dict(our_state(weights))
encoder.eval()


def token_rows(texts):
    """Token rows (B, T) of several texts, padded with 0 to the longest."""
    rows = [[vocabulary[piece] for piece in word_pieces(text, vocabulary)] for text in texts]
    tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
    return tokens


def embed(texts, batch_size=32):
    """A vector of length one for each text, (n, 384); texts of like length share a batch: less padding."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = torch.zeros(len(texts), 384)
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            tokens = token_rows([texts[i] for i in chosen])
            vectors[chosen] = mean_pool(encoder(tokens), tokens > 0)
    return vectors.numpy()


reference_vectors = np.array(reference["embeddings"])  # (8, 384), by the original
own_vectors = embed(reference["sentences"])  # (8, 384)
agreement = (own_vectors * reference_vectors).sum(axis=1)  # (8,): cosines, both have length one
print(f"cosine with the original's vectors: {agreement.min():.5f} at least")
similar = own_vectors @ own_vectors.T  # (8, 384) @ (384, 8) -> (8, 8)
for j in (1, 2, 3):
    print(f"{reference['sentences'][0]!r} and {reference['sentences'][j]!r}: {similar[0, j]:.2f}")

# %% [markdown]
# Our vectors point in the directions of the original's, up to what rounding to whole numbers has cost. A
# sea monster that sinks a vessel is near to a whale that destroys a ship, although the two sentences
# share no word but "the".
#
# ## The same in PyTorch
#
# `nn.TransformerEncoder` has the names of the file, and its padding mask is the other way round (`True`
# means blocked). In float64 both must agree to the last digits, also on a padded batch.

# %%
layer = nn.TransformerEncoderLayer(384, N_HEADS, 1536, 0.0, "gelu", 1e-12, batch_first=True)
stack = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False).double().eval()
layer_weights = {name: value.double() for name, value in weights.items() if name.startswith("layers.")}
stack.load_state_dict(layer_weights)
reference_tokens = token_rows(reference["sentences"])  # (8, T)
with torch.inference_mode():
    encoder.double()
    own_stream = encoder(reference_tokens)  # (8, T, D)
    library_stream = stack(encoder.embed(reference_tokens), src_key_padding_mask=reference_tokens == 0)
    encoder.float()
is_real = reference_tokens > 0
largest = (own_stream - library_stream)[is_real].abs().max()
print(f"largest difference from nn.TransformerEncoder: {largest:.1e}")
torch.testing.assert_close(own_stream[is_real], library_stream[is_real], rtol=1e-8, atol=1e-10)

# %% [markdown]
# The differences are rounding, so our blocks and the library's compute the same.
#
# ## Search by meaning
#
# We cut the first sixteen chapters of _Moby-Dick_ into sentences and ask twelve questions. For each one
# the passage that it means was named before any search was run, and the question avoids the words of that
# passage. (Two share a telling word with it all the same, _razor_ and _marble_.) The rival is a search by
# words, for which *tf-idf* counts the words that two texts share, and weighs a word by how rare it is.
# This way of asking is hard on the rival. So it shows what the encoder adds, and not which search is
# better in general. On which place does the named passage come? (For a text of your own, put its passages
# into `passages` and questions into `queries`, each with a piece of the passage that it means.)


# %%
def chapters_of(text):
    """The book's chapters {number: list of paragraphs, each in one line}.

    Raises ValueError if no line begins with "CHAPTER" and a number.
    """
    found = {}
    for part in re.split(r"(?m)^CHAPTER (?=\d)", text)[1:]:
        number = int(re.match(r"\d+", part)[0])
        paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", part)[1:]]
        found[number] = [paragraph for paragraph in paragraphs if paragraph]
    if not found:
        raise ValueError("no line of the text begins with CHAPTER and a number")
    return found


def words_of(text):
    """Words and punctuation marks, in small letters."""
    return re.findall(r"[a-z]+|[^\w\s]", text.lower())


def tf_idf(texts, of_texts=None):
    """Rows of length one (n, V): counts of words times the logarithm of their rarity in `of_texts`."""
    of_texts = texts if of_texts is None else of_texts
    seen = Counter(word for text in of_texts for word in set(words_of(text)))
    column = {word: j for j, word in enumerate(seen)}
    rarity = np.log((1 + len(of_texts)) / (1 + np.array(list(seen.values())))) + 1  # (V,)
    table = np.zeros((len(texts), len(column)))
    for i, text in enumerate(texts):
        for word, count in Counter(words_of(text)).items():
            if word in column:
                table[i, column[word]] = count
    table *= rarity
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)


text = (HERE / "data" / "moby_dick.txt").read_text(encoding="utf-8")  # 1,190,317 characters
chapters = chapters_of(text)
passages = []
for number in range(1, 17):
    for paragraph in chapters[number]:
        for passage in re.split(r"(?<=[.!?;])[”’]?\s+", paragraph):
            if 6 <= len(passage.split()) <= 60:
                passages.append(passage)
queries = {  # the question: a piece of the passage that it means
    "I feel suicidal, so I become a sailor.": "high time to get to sea",
    "People everywhere are drawn to gaze at rivers and lakes.": "ocean reveries",
    "A decent heathen makes a safer companion than a churchgoer who has been at the rum.": "sober cannibal",
    "Employees get a salary while tourists must spend their own cash.": "passengers themselves must pay",
    "Humour is healthy and there is not enough of it.": "good laugh is a mighty good thing",
    "His body is covered in ink drawings.": "tattooing",
    "He uses his hunting weapon as a razor.": "takes the harpoon from the bed corner",
    "The preacher climbs up and pulls the steps after him.": "drag up the ladder",
    "Marble memorials for men who drowned.": "marble tablets",
    "My friend gave me half of his cash.": "thirty dollars in silver",
    "The soup was delicious.": "surpassingly excellent",
    "His home cannot be found on any chart.": "It is not down in any map",
}
started = time.perf_counter()
passage_vectors = embed(passages)  # (n, 384)
print(f"{len(passages)} passages embedded in {time.perf_counter() - started:.0f} s")
query_vectors = embed(list(queries))  # (12, 384)
by_meaning = query_vectors @ passage_vectors.T  # (12, 384) @ (384, n) -> (12, n)
by_words = tf_idf(list(queries), passages) @ tf_idf(passages).T  # (12, V) @ (V, n) -> (12, n)


def best_rank(scores, piece):
    """The place, from 1, of the best passage that has `piece` in it."""
    meant = [i for i, passage in enumerate(passages) if piece in passage]
    if not meant:
        raise ValueError(f"no passage has {piece!r}")
    best = max(scores[i] for i in meant)
    return int((scores > best).sum() + 1)


ranks = {"meaning": [], "words": []}
print(f"{'meaning':>8s}{'words':>8s}   question")
for i, (query, piece) in enumerate(queries.items()):
    ranks["meaning"].append(best_rank(by_meaning[i], piece))
    ranks["words"].append(best_rank(by_words[i], piece))
    print(f"{ranks['meaning'][-1]:8d}{ranks['words'][-1]:8d}   {query}")
first = {name: sum(rank == 1 for rank in found) for name, found in ranks.items()}
print(f"first place: {first['meaning']} of 12 by meaning, {first['words']} of 12 by words")
worst = int(np.argmax(ranks["meaning"]))
print(f"worst question: {list(queries)[worst]}\nits first passage: {passages[by_meaning[worst].argmax()]}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(ranks["words"], ranks["meaning"], "o", color="C1")
left.plot([1, 2000], [1, 2000], color="0.7", linewidth=0.8, zorder=0)
left.set(xlabel="place by words (tf-idf)", ylabel="place by meaning (encoder)")
left.set_title("Place of the passage that was meant, twelve questions")
found_scores = [by_meaning[i].max() for i in range(len(queries))]
right.hist(by_meaning.ravel(), bins=60, color="0.7", density=True, label="all passages")
right.plot(found_scores, np.full(12, 0.15), "v", color="C1", label="first passage of each question")
right.set(
    xlabel="cosine with the question", ylabel="density", title="Cosine of every passage with every question"
)
right.legend()
plt.show()

# %% [markdown]
# On the left, points below the line are questions for which the encoder puts the passage further in
# front. That is so for nearly all of them, and half of the passages come out first, where the search by
# words finds none on the first place. The question that went worst shows how the encoder errs: it finds
# the topic (sailors), not the thought (a reason to become one). On the right, the first passages have
# cosines of about one half. A wrong passage may reach that, too, so a fixed threshold would not tell
# right from wrong. Twelve questions about one book are few; they show what is possible, not how often.
#
# ## Is near the same as equal in meaning?
#
# We take twenty sentences, each with a paraphrase in other words and with a _distractor_, which repeats
# the sentence but for one word that changes its meaning. The first test asks whether the right paraphrase
# is the nearest of all twenty, and the second whether it is nearer than the distractor.

# %%
TRIPLES = """
The film was boring.|I nearly fell asleep in the cinema.|The film was exciting.
The train arrives late.|We have to wait for the railway connection.|The train arrives early.
She bought a cheap car.|Her new vehicle cost little.|She bought an expensive car.
The water is too hot.|You could burn yourself in this bath.|The water is too cold.
He lost his keys.|He cannot find what opens his door.|He found his keys.
The shop opens at nine.|You can begin buying in the morning.|The shop closes at nine.
The dog is asleep.|The puppy is taking a nap.|The dog is awake.
The soup lacks salt.|Dinner tastes bland.|The soup has enough salt.
My brother is taller than me.|I am the shorter one of us siblings.|My brother is shorter than me.
The test was easy.|Everybody passed the exam without effort.|The test was difficult.
The river is deep.|One cannot stand on the bottom of the stream.|The river is shallow.
They won the match.|Our team beat its opponents.|They lost the match.
The baby is crying.|The infant is in tears.|The baby is laughing.
The street is quiet at night.|After dark there is hardly any noise outside.|The street is loud at night.
Prices are rising.|Everything is getting more expensive.|Prices are falling.
The lamp is broken.|The light no longer works.|The lamp is repaired.
He always tells the truth.|You can believe every word he says.|He never tells the truth.
The bridge was built last year.|The crossing was constructed recently.|The bridge was destroyed last year.
The meeting was cancelled.|The appointment will not take place.|The meeting was confirmed.
She speaks softly.|Her voice is low.|She speaks loudly.
"""
triples = [line.split("|") for line in TRIPLES.strip().split("\n")]
sentences, paraphrases, distractors = (list(column) for column in zip(*triples, strict=True))
sentence_vectors, paraphrase_vectors, distractor_vectors = map(embed, (sentences, paraphrases, distractors))
paraphrase_similarity = sentence_vectors @ paraphrase_vectors.T  # (20, 384) @ (384, 20) -> (20, 20)
word_similarity = tf_idf(sentences, sentences + paraphrases) @ tf_idf(paraphrases, sentences + paraphrases).T
own_place = np.arange(20)
nearest_by_meaning = int((paraphrase_similarity.argmax(axis=1) == own_place).sum())
tied = word_similarity >= word_similarity.max(axis=1, keepdims=True) - 1e-12  # a tie counts as its share
nearest_by_words = float((tied[own_place, own_place] / tied.sum(axis=1)).sum())
distractor_similarity = (sentence_vectors * distractor_vectors).sum(axis=1)  # (20,)
own_similarity = paraphrase_similarity[own_place, own_place]  # (20,)
nearer_than_distractor = int((own_similarity > distractor_similarity).sum())
print(f"right paraphrase nearest of twenty: {nearest_by_meaning} by meaning, {nearest_by_words:.1f} by words")
print(f"paraphrase nearer than the distractor: {nearer_than_distractor} of 20")

fig, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
ax.plot(distractor_similarity, own_similarity, "o", color="C1")
ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="cosine with the distractor", ylabel="cosine with the paraphrase", xlim=(0, 1), ylim=(0, 1))
ax.set_title("A sentence, its paraphrase, and its distractor")
plt.show()

# %% [markdown]
# Among twenty paraphrases on different topics the encoder nearly always finds the right one. But nearly
# all points of the figure lie below the line: a sentence that says the opposite in the same words is
# nearer than one that says the same in other words. So a high cosine means "about the same thing", and not
# "says the same". If such a search is used to answer questions, the passage that it found still has to be
# checked.
#
# ## A classifier with few labels
#
# The other use is transfer learning (9.5), in which the encoder stays frozen, and a logistic regression
# learns on its vectors. There are two tasks on passages of the book, with test passages from other
# chapters than the training ones. Task A asks whether a passage is about the biology of whales or from the
# story, and task B whether it is speech or narration. Two rivals learn in the same way, one on tf-idf
# rows, the other on the mean of the token vectors, which have not been through any block. All three have
# the same penalty. (With 8, 64 and 256 labels, penalties from a hundredth of it to ten times as much made
# none of the three better by a whole point.) Which features do you expect to be best on which task?

# %%
BIOLOGY = {"train": (32, 74, 75, 77, 79, 85, 103, 105), "test": (68, 76, 80, 86, 88, 104)}
STORY = {
    "train": (2, 3, 4, 10, 13, 16, 21, 22, 36, 48, 61, 73, 81, 100, 119, 133),
    "test": (5, 12, 17, 19, 29, 50, 71, 72, 78, 87, 110, 128, 134, 135),
}


def pieces_of(paragraphs):
    """Passages of 25 to 60 words from whole sentences of one paragraph, without quotation marks."""
    found = []
    for paragraph in paragraphs:
        passage = []
        for sentence in re.split(r"(?<=[.!?;])[”’]?\s+", paragraph):
            passage += re.sub(r"[“”‘’]", "", sentence).split()
            if 25 <= len(passage) <= 60:
                found.append(" ".join(passage))
            if len(passage) >= 25:
                passage = []
    return found


def balanced(first, second, n, rng):
    """n texts of each kind, shuffled, and labels 0 and 1."""
    texts = [str(text) for part in (first, second) for text in rng.choice(part, size=n, replace=False)]
    labels = np.repeat([0, 1], n)
    order = rng.permutation(2 * n)
    return [texts[i] for i in order], labels[order]


def embed_tokens(texts):
    """The mean of the token vectors alone, before any block, as a control: (n, 384)."""
    tokens = token_rows(texts)
    with torch.inference_mode():
        return mean_pool(encoder.token_embedding(tokens), tokens > 0).numpy()


def is_speech(paragraph):
    return paragraph.startswith("“") and paragraph.endswith("”") and paragraph.count("“") == 1


def fit_logistic(x, labels, strength=0.1, n_steps=25):
    """Weights (D + 1,), the last one the bias, by Newton's method with an L2 penalty of strength / 2.

    The penalty leaves no weight outside the span of the rows, so we solve there, in at most n numbers.
    Raises ValueError if only one label occurs, or without a penalty: the best weights may be infinite.
    """
    if len(np.unique(labels)) < 2 or strength <= 0:
        raise ValueError(f"need both labels and a strength above 0, got {np.unique(labels)} and {strength}")
    _, _, directions = np.linalg.svd(x, full_matrices=False)  # (k, D), k the smaller of n and D
    z = np.hstack([x @ directions.T, np.ones((len(x), 1))])  # (n, D) @ (D, k), and a column of ones
    penalty = np.full(z.shape[1], strength)
    penalty[-1] = 0  # none on the bias
    w = np.zeros(z.shape[1])
    # Newton's method (2.6): where gradient descent multiplies the gradient by one rate for all directions, it
    # divides by the curvature, a matrix of second derivatives, and so is done in a few steps
    for _ in range(n_steps):
        p = 1 / (1 + np.exp(-z @ w))  # (n, k + 1) @ (k + 1,) -> (n,): the probabilities, as in 3.3
        gradient = z.T @ (p - labels) + penalty * w  # (k + 1, n) @ (n,) -> (k + 1,)
        hessian = (z * (p * (1 - p))[:, None]).T @ z + np.diag(penalty)  # (k + 1, k + 1)
        w = w - np.linalg.solve(hessian, gradient)
    return np.append(w[:-1] @ directions, w[-1])  # (k,) @ (k, D) -> (D,)


def accuracy(w, x, labels):
    return float((((x @ w[:-1] + w[-1]) > 0) == labels).mean())


data_rng = np.random.default_rng(1)
odd = [p for number in chapters if number % 2 for p in chapters[number]]
even = [p for number in chapters if number % 2 == 0 for p in chapters[number]]
tasks = {"A: biology or story": {}, "B: speech or narration": {}}
for part in ("train", "test"):
    n = 180 if part == "train" else 110
    biology, story = (
        pieces_of([p for number in kind[part] for p in chapters[number]]) for kind in (BIOLOGY, STORY)
    )
    tasks["A: biology or story"][part] = balanced(biology, story, n, data_rng)
    paragraphs = odd if part == "train" else even
    speech = pieces_of([p for p in paragraphs if is_speech(p)])
    narration = pieces_of([p for p in paragraphs if "“" not in p])
    tasks["B: speech or narration"][part] = balanced(speech, narration, n, data_rng)

N_LABELS = (8, 16, 32, 64, 128, 256)
N_DRAWS = 5
few_labels = {}  # task -> features -> accuracies (draws, numbers of labels)
for task, parts in tasks.items():
    (train_texts, train_labels), (test_texts, test_labels) = parts["train"], parts["test"]
    features = {
        "encoder": (embed(train_texts), embed(test_texts)),
        "token vectors": (embed_tokens(train_texts), embed_tokens(test_texts)),
        "tf-idf": (tf_idf(train_texts), tf_idf(test_texts, train_texts)),
    }
    few_labels[task] = {name: np.zeros((N_DRAWS, len(N_LABELS))) for name in features}
    for draw in range(N_DRAWS):
        order = np.random.default_rng(draw).permutation(len(train_labels))
        for k, n in enumerate(N_LABELS):
            halves = [order[train_labels[order] == label][: n // 2] for label in (0, 1)]
            chosen = np.concatenate(halves)
            for name, (x_train, x_test) in features.items():
                w = fit_logistic(x_train[chosen], train_labels[chosen])
                few_labels[task][name][draw, k] = accuracy(w, x_test, test_labels)
    print(f"{task:24s}" + "".join(f"{n:>14d}" for n in N_LABELS))
    for name, values in few_labels[task].items():
        row = [f"{m:.3f} ± {s:.3f}" for m, s in zip(values.mean(axis=0), values.std(axis=0, ddof=1))]
        print(f"{name:24s}" + "".join(f"{cell:>14s}" for cell in row))

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, (task, results) in zip(axes, few_labels.items()):
    for (name, values), style in zip(results.items(), ("o-", "s--", "^:")):
        spread = values.std(axis=0, ddof=1)
        ax.errorbar(N_LABELS, values.mean(axis=0), spread, fmt=style, capsize=3, label=name)
    ax.axhline(0.5, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xscale="log", xlabel="labels", title=task)
    ax.set_xticks(N_LABELS, N_LABELS)
axes[0].set_ylabel("accuracy on passages of other chapters")
axes[1].legend()
plt.show()

# %% [markdown]
# Points are means over five draws of the labelled passages, bars their standard deviation. For the topic
# (left) the frozen vectors lead clearly over tf-idf with eight labels, and the lead shrinks as the labels
# grow. For speech against narration (right) they lose at every size, not only to tf-idf but also to the
# token vectors from which they were computed. What tells speech was in the token vectors, and behind the
# blocks it is harder to find. That fits their training, which put sentences of like meaning together,
# however something is said. So whether frozen vectors help may depend on whether your task is one of
# meaning, and the simple rivals should stay in the table.
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change something, the one that fails names the
# claim that no longer holds.

# %%
assert agreement.min() > 0.999, "our vectors point where the original's do"
assert similar[0, 1] > similar[0, 2] + 0.2, "the sea monster is nearer to the whale than the market"
shared = []  # of the longer words of the questions: is it in the passage meant?
for query, piece in queries.items():
    meant = {word for passage in passages if piece in passage for word in words_of(passage)}
    shared += [word in meant for word in words_of(query) if len(word) > 4]
assert 0 < np.mean(shared) < 0.1, "the questions avoid the words of the passages that they mean"
assert first["meaning"] >= 5, "about half of the passages come out first by meaning"
assert first["words"] <= 1, "hardly any passage comes out first by words"
assert np.median(ranks["meaning"]) < 5, "the median place by meaning is among the first"
assert np.median(ranks["words"]) > 10, "the median place by words is far behind"
assert nearest_by_meaning >= 17, "nearly every paraphrase is found among twenty"
assert nearest_by_words < 6, "by words, few paraphrases are found"
assert nearer_than_distractor <= 3, "nearly every distractor is nearer than the paraphrase"
topic, style = (few_labels[task] for task in tasks)
assert topic["encoder"][:, 0].mean() > topic["tf-idf"][:, 0].mean() + 0.05, (
    "the encoder leads with few labels"
)
lead = topic["encoder"].mean(axis=0) - topic["tf-idf"].mean(axis=0)
assert lead[-1] < 0.6 * lead[0], "the lead shrinks as labels grow"
for rival in ("tf-idf", "token vectors"):
    behind = style["encoder"].mean(axis=0) < style[rival].mean(axis=0)  # (numbers of labels,)
    assert behind.all(), f"on speech the encoder is behind {rival} at every number of labels"

# %% [markdown]
# ## Going further
#
# This part, which can be skipped, looks at the attention maps, and at what padding costs.
#
# ### What the layers attend to
#
# For one sentence we draw, for the first, third and last block, the attention weights averaged over the
# twelve heads, and for the first block one single head.

# %%
SENTENCE = "When the captain saw the white whale, he ordered his men to lower the boats."
shown_tokens = token_rows([SENTENCE])  # (1, T)
shown_pieces = word_pieces(SENTENCE, vocabulary)
maps = []
with torch.inference_mode():
    stream = encoder.embed(shown_tokens)
    for block in encoder.blocks:
        maps.append(block.attend(stream, shown_tokens > 0)[1][0].numpy())  # (H, T, T)
        stream = block(stream, shown_tokens > 0)
previous = np.array([np.diagonal(head, -1).mean() for head in maps[0]])  # (H,): weight on the piece before
previous_head = int(previous.argmax())
on_first = [layer[:, 1:-1, 0].mean() for layer in maps]  # mean weight that words give [CLS]
pictures = {
    f"block 1, head {previous_head + 1}": maps[0][previous_head],
    "block 1, mean": maps[0].mean(axis=0),
    "block 3, mean": maps[2].mean(axis=0),
    "block 6, mean": maps[5].mean(axis=0),
}
fig, axes = plt.subplots(1, 4, figsize=(14, 4.4), layout="constrained")
for ax, (title, picture) in zip(axes, pictures.items()):
    image = ax.imshow(picture, vmin=0, vmax=0.6)
    ax.set(title=title, xlabel="attended to (key)")
    ax.set_xticks(range(len(shown_pieces)), shown_pieces, rotation=90, fontsize=7)
    ax.set_yticks(range(len(shown_pieces)), shown_pieces, fontsize=7)
axes[0].set_ylabel("that asks (query)")
fig.colorbar(image, ax=axes, label="weight")
plt.show()
print("weight that words give [CLS], block by block:", " ".join(f"{share:.2f}" for share in on_first))

# %% [markdown]
# One head of the first block looks at the piece before, for every piece. Nobody asked for that, so the
# head must have found it in training. In the middle blocks the words give about half of their weight to
# `[CLS]`, the left column. The same has been found in BERT (Clark et al. 2019). One explanation is that a
# head must give its weight to something, even if nothing fits its query (12.2). In the last block a third
# of the weight still goes there, and the rest leans towards content words such as _whale_, _lower_ and
# _boats_. No map here says what the sentence means, and this is one sentence only.
#
# ### What padding costs
#
# In a batch every sentence is padded to the longest. We embed the same passages in batches as they come,
# and in batches of like length, and count the places that are computed.

# %%
sample = passages[:256]
lengths = np.array([len(word_pieces(passage, vocabulary)) for passage in sample])
computed = {}
seconds = {}
for name, order in (("as they come", np.arange(256)), ("sorted by length", np.argsort(lengths))):
    batches = [order[start : start + 32] for start in range(0, 256, 32)]
    computed[name] = sum(len(batch) * lengths[batch].max() for batch in batches)
    started = time.perf_counter()
    with torch.inference_mode():
        for batch in batches:
            tokens = token_rows([sample[i] for i in batch])
            mean_pool(encoder(tokens), tokens > 0)
    seconds[name] = time.perf_counter() - started
for name in computed:
    filled = lengths.sum() / computed[name]
    print(f"{name:20s}{computed[name]:8,d} places, {filled:4.0%} of them words{seconds[name]:8.2f} s")
n_weights = sum(parameter.numel() for parameter in encoder.parameters())
n_scores = 32 * N_HEADS * 128**2
print(f"weights in float32: {4 * n_weights / 1e6:.0f} MB")
print(f"scores of 32 texts of 128 pieces: {4 * n_scores / 1e6:.0f} MB per block")

# %% [markdown]
# Sorting leaves little padding, and the time falls about in proportion to the places that are computed.
# The scores grow with the square of the length, so long texts cost memory as well.

# %%
assert previous[previous_head] > 0.9, "one head of the first block looks at the piece before"
assert min(on_first[1:5]) > 0.45, "in the middle blocks about half of the weight rests on [CLS]"
assert abs(on_first[5] - 1 / 3) < 0.05, "in the last block it is a third"
assert computed["sorted by length"] < 0.8 * computed["as they come"], "sorting by length saves padding"

# %% [markdown]
# ## What to remember
#
# - A pretrained model is weights, a tokenizer and a recipe (here mean pooling). All three must be the
#   original's; compare with stored reference outputs.
# - A vector for each sentence makes search a matrix product. Near means "about the same thing".
# - Frozen vectors help most with few labels, on tasks that are like what the model was trained for.
# - Keep a simple rival in every table: words counted well are hard to beat where style decides.
# - Texts of like length belong in one batch.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Let the padding count: in `embed`, replace `tokens > 0` by `tokens >= 0`. For which of the eight
#    reference sentences will the vector change, and for which not? Look at the printed cosine, and print
#    all eight.
# 2. Leave out attention: in `EncoderBlock.forward`, replace `x + self.attend(x, real)[0]` by `x`. What can
#    the vectors still know of a sentence? Look at the cosine and at the three printed similarities.
# 3. From a blank cell: write `nearest(question, n)`, which prints the n passages nearest to a question of
#    your own. Ask "What do whalers eat?" and compare its first passage with that of the search by words.
#
# ## Sources
#
# - N. Reimers, I. Gurevych, "Sentence-BERT: sentence embeddings using Siamese BERT-networks", EMNLP 2019:
#   mean pooling, and training by pairs. Reproduced: "nearly every paraphrase is found among twenty".
# - W. Wang et al., "MiniLM: deep self-attention distillation for task-agnostic compression of pre-trained
#   Transformers", NeurIPS 2020: the small model. The weights are all-MiniLM-L6-v2 (Apache-2.0), rounded
#   to int8.
# - Y. Wu et al., "Google's neural machine translation system", 2016, section 4.1: word pieces.
# - K. Clark et al., "What does BERT look at? An analysis of BERT's attention", BlackboxNLP 2019: heads
#   that look at the previous token, and attention that rests on special tokens. Reproduced: "one head of
#   the first block looks at the piece before".
# - H. Melville, _Moby-Dick_, 1851: the passages.
