"""Chapter 12: what the lessons computed, and how fast their kernels are."""

import pytest


@pytest.fixture
def why_attention(lesson):
    return lesson("why_attention")


@pytest.fixture
def self_attention(lesson):
    return lesson("self_attention")


@pytest.fixture
def multi_head_attention(lesson):
    return lesson("multi_head_attention")


@pytest.fixture
def encoder_block(lesson):
    return lesson("encoder_block")


@pytest.fixture
def tokenization_bpe(lesson):
    return lesson("tokenization_bpe")


@pytest.fixture
def mini_transformer(lesson):
    return lesson("mini_transformer")


@pytest.fixture
def language_model(lesson):
    return lesson("language_model")


# 12.1 why_attention


# 12.2 self_attention


# 12.3 multi_head_attention


# 12.4 encoder_block


# 12.5 tokenization_bpe


# 12.6 mini_transformer


# 12.7 language_model


# benchmarks: 12.2 and 12.3


# benchmarks: 12.4 and 12.6


# benchmarks: 12.5 and 12.7
