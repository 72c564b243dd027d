from __future__ import annotations

import pytest

from engine.evaluate.check import language, possessives


@pytest.mark.parametrize(
    ("sentences", "name"),
    [
        (["A man is playing the guitar.", "Two dogs run in the park."], "English"),
        (["男の人がギターを弾いています。", "犬が走っている。"], "Japanese"),
        (["一个男人在弹吉他。", "两只狗在公园里跑。"], "Chinese"),
        (["한 남자가 기타를 치고 있다."], "Korean"),
        (["Um homem não está tocando com uma mulher.", "Os cães são do homem em casa."], "Portuguese"),
        (["Un hombre está con una mujer y los niños son buenos en la casa."], "Spanish"),
        (["Un homme est dans le parc avec une femme pour les enfants."], "French"),
        (["Der Mann ist nicht mit der Frau auf die Straße gegangen."], "German"),
        (["zzz qqq www"], "unknown"),
        ([], "unknown"),
    ],
)
def test_languages_are_told_apart(sentences: list[str], name: str) -> None:
    assert language(sentences) == name


def test_possessives_are_counted_as_words() -> None:
    assert possessives(["the man 's hat", "it 's"]) == "'s"
    assert possessives(["the man ' s hat"]) == "' s"
    assert possessives(["the man ' s hat", "it 's"]) == "both"
    assert possessives(["he said ' stop '", "the dogs 'sing"]) == ""
