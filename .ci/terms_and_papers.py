"""Print two tables made from the lessons: where each term is introduced, and which papers' claims are redone.

python .ci/terms_and_papers.py

A lesson introduces a term by *asterisks*; emphasis and titles of works have _underscores_. A source whose
claim is redone ends with `Reproduced: "the beginning of an assert's message".` or `Reproduced: test_name.`
"""

from course import in_second_edition, lessons, sources, terms, title


def first_terms():
    """(term, lesson) for every term of the second edition, in the order of the alphabet."""
    first = {}
    for path in filter(in_second_edition, lessons()):
        for term in terms(path):
            first.setdefault(term.name.lower(), (term.name, path))
    return [first[key] for key in sorted(first)]


def reproduced():
    """(source, lesson, claims) for every source with a claim that an assert or a test holds."""
    for path in lessons():
        for source in sources(path):
            if source.claims:
                yield source.text, path, source.claims


def link(path) -> str:
    return f"{title(path)} [{path.stem}]({path.parent.name}/{path.name})"


if __name__ == "__main__":
    print("| term | introduced in |\n| --- | --- |")
    for name, path in first_terms():
        print(f"| {name} | {link(path)} |")
    print("\n| source | lesson | held by |\n| --- | --- | --- |")
    for text, path, claims in reproduced():
        print(f"| {text} | {link(path)} | {'; '.join(claims)} |")
