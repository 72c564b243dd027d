"""BibTeX of the methods, models, data and statistics that a project used, each with the reason why it is there."""

from __future__ import annotations

from collections.abc import Iterable

from claif_tui.core.publish_text import CITATION


def _entry(kind: str, key: str, **fields: str) -> str:
    body = "".join(f"    {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@{kind}{{{key},\n{body}}}"


_ACL = "Association for Computational Linguistics"
_EMNLP = "Proceedings of the {} Conference on Empirical Methods in Natural Language Processing"

ENTRIES: dict[str, str] = {
    "claif": CITATION,
    "simcse": _entry(
        "inproceedings",
        "gao-etal-2021-simcse",
        title="{SimCSE}: Simple Contrastive Learning of Sentence Embeddings",
        author="Gao, Tianyu and Yao, Xingcheng and Chen, Danqi",
        booktitle=_EMNLP.format(2021),
        year="2021",
        publisher=_ACL,
        pages="6894--6910",
        doi="10.18653/v1/2021.emnlp-main.552",
    ),
    "promptbert": _entry(
        "inproceedings",
        "jiang-etal-2022-promptbert",
        title="{PromptBERT}: Improving {BERT} Sentence Embeddings with Prompts",
        author="Jiang, Ting and Jiao, Jian and Huang, Shaohan and Zhang, Zihan and Wang, Deqing and Zhuang, Fuzhen "
        "and Wei, Furu and Huang, Haizhen and Deng, Denvy and Zhang, Qi",
        booktitle=_EMNLP.format(2022),
        year="2022",
        publisher=_ACL,
        pages="8826--8837",
        doi="10.18653/v1/2022.emnlp-main.603",
    ),
    "dino": _entry(
        "inproceedings",
        "schick-schutze-2021-generating",
        title="Generating Datasets with Pretrained Language Models",
        author='Schick, Timo and Sch{\\"u}tze, Hinrich',
        booktitle=_EMNLP.format(2021),
        year="2021",
        publisher=_ACL,
        pages="6943--6951",
        doi="10.18653/v1/2021.emnlp-main.555",
    ),
    "syncse": _entry(
        "inproceedings",
        "zhang-etal-2023-contrastive-learning",
        title="Contrastive Learning of Sentence Embeddings from Scratch",
        author="Zhang, Junlei and Lan, Zhenzhong and He, Junxian",
        booktitle=_EMNLP.format(2023),
        year="2023",
        publisher=_ACL,
        pages="3916--3932",
        doi="10.18653/v1/2023.emnlp-main.238",
    ),
    "multicsr": _entry(
        "inproceedings",
        "wang-etal-2024-multicsr",
        title="Large Language Models can Contrastively Refine their Generation for Better Sentence Representation "
        "Learning",
        author="Wang, Huiming and Li, Zhaodonghui and Cheng, Liying and Soh, De Wen and Bing, Lidong",
        booktitle="Proceedings of the 2024 Conference of the North American Chapter of the Association for "
        "Computational Linguistics: Human Language Technologies (Volume 1: Long Papers)",
        year="2024",
        publisher=_ACL,
        doi="10.18653/v1/2024.naacl-long.436",
    ),
    "whitening": _entry(
        "article",
        "su-etal-2021-whitening",
        title="Whitening Sentence Representations for Better Semantics and Faster Retrieval",
        author="Su, Jianlin and Cao, Jiarun and Liu, Weijie and Ou, Yangyiwen",
        journal="arXiv preprint arXiv:2103.15316",
        year="2021",
    ),
    "sbert": _entry(
        "inproceedings",
        "reimers-gurevych-2019-sentence",
        title="Sentence-{BERT}: Sentence Embeddings using {S}iamese {BERT}-Networks",
        author="Reimers, Nils and Gurevych, Iryna",
        booktitle="Proceedings of the 2019 Conference on Empirical Methods in Natural Language Processing and the "
        "9th International Joint Conference on Natural Language Processing (EMNLP-IJCNLP)",
        year="2019",
        publisher=_ACL,
        pages="3982--3992",
        doi="10.18653/v1/D19-1410",
    ),
    "transformers": _entry(
        "inproceedings",
        "wolf-etal-2020-transformers",
        title="Transformers: State-of-the-Art Natural Language Processing",
        author="Wolf, Thomas and Debut, Lysandre and Sanh, Victor and Chaumond, Julien and Delangue, Clement and "
        "Moi, Anthony and others",
        booktitle="Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing: System "
        "Demonstrations",
        year="2020",
        publisher=_ACL,
        pages="38--45",
        doi="10.18653/v1/2020.emnlp-demos.6",
    ),
    "bert": _entry(
        "inproceedings",
        "devlin-etal-2019-bert",
        title="{BERT}: Pre-training of Deep Bidirectional Transformers for Language Understanding",
        author="Devlin, Jacob and Chang, Ming-Wei and Lee, Kenton and Toutanova, Kristina",
        booktitle="Proceedings of the 2019 Conference of the North American Chapter of the Association for "
        "Computational Linguistics: Human Language Technologies, Volume 1 (Long and Short Papers)",
        year="2019",
        publisher=_ACL,
        pages="4171--4186",
        doi="10.18653/v1/N19-1423",
    ),
    "roberta": _entry(
        "article",
        "liu-etal-2019-roberta",
        title="{RoBERTa}: A Robustly Optimized {BERT} Pretraining Approach",
        author="Liu, Yinhan and Ott, Myle and Goyal, Naman and Du, Jingfei and Joshi, Mandar and Chen, Danqi and "
        "Levy, Omer and Lewis, Mike and Zettlemoyer, Luke and Stoyanov, Veselin",
        journal="arXiv preprint arXiv:1907.11692",
        year="2019",
    ),
    "minilm": _entry(
        "inproceedings",
        "wang-etal-2020-minilm",
        title="{MiniLM}: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained Transformers",
        author="Wang, Wenhui and Wei, Furu and Dong, Li and Bao, Hangbo and Yang, Nan and Zhou, Ming",
        booktitle="Advances in Neural Information Processing Systems",
        volume="33",
        year="2020",
        pages="5776--5788",
    ),
    "senteval": _entry(
        "inproceedings",
        "conneau-kiela-2018-senteval",
        title="{SentEval}: An Evaluation Toolkit for Universal Sentence Representations",
        author="Conneau, Alexis and Kiela, Douwe",
        booktitle="Proceedings of the Eleventh International Conference on Language Resources and Evaluation "
        "(LREC 2018)",
        year="2018",
        publisher="European Language Resources Association (ELRA)",
    ),
    "STS12": _entry(
        "inproceedings",
        "agirre-etal-2012-semeval",
        title="{SemEval}-2012 Task 6: A Pilot on Semantic Textual Similarity",
        author="Agirre, Eneko and Cer, Daniel and Diab, Mona and Gonzalez-Agirre, Aitor",
        booktitle="*SEM 2012: The First Joint Conference on Lexical and Computational Semantics",
        year="2012",
        publisher=_ACL,
        pages="385--393",
    ),
    "STS13": _entry(
        "inproceedings",
        "agirre-etal-2013-sem",
        title="*{SEM} 2013 shared task: Semantic Textual Similarity",
        author="Agirre, Eneko and Cer, Daniel and Diab, Mona and Gonzalez-Agirre, Aitor and Guo, Weiwei",
        booktitle="Second Joint Conference on Lexical and Computational Semantics (*SEM), Volume 1",
        year="2013",
        publisher=_ACL,
        pages="32--43",
    ),
    "STS14": _entry(
        "inproceedings",
        "agirre-etal-2014-semeval",
        title="{SemEval}-2014 Task 10: Multilingual Semantic Textual Similarity",
        author="Agirre, Eneko and Banea, Carmen and Cardie, Claire and Cer, Daniel and Diab, Mona and "
        "Gonzalez-Agirre, Aitor and Guo, Weiwei and Mihalcea, Rada and Rigau, German and Wiebe, Janyce",
        booktitle="Proceedings of the 8th International Workshop on Semantic Evaluation (SemEval 2014)",
        year="2014",
        publisher=_ACL,
        pages="81--91",
        doi="10.3115/v1/S14-2010",
    ),
    "STS15": _entry(
        "inproceedings",
        "agirre-etal-2015-semeval",
        title="{SemEval}-2015 Task 2: Semantic Textual Similarity, {English}, {Spanish} and Pilot on "
        "Interpretability",
        author="Agirre, Eneko and Banea, Carmen and Cardie, Claire and Cer, Daniel and Diab, Mona and "
        "Gonzalez-Agirre, Aitor and Guo, Weiwei and Lopez-Gazpio, I{\\~n}igo and Maritxalar, Montse and "
        "Mihalcea, Rada and Rigau, German and Uria, Larraitz and Wiebe, Janyce",
        booktitle="Proceedings of the 9th International Workshop on Semantic Evaluation (SemEval 2015)",
        year="2015",
        publisher=_ACL,
        pages="252--263",
        doi="10.18653/v1/S15-2045",
    ),
    "STS16": _entry(
        "inproceedings",
        "agirre-etal-2016-semeval",
        title="{SemEval}-2016 Task 1: Semantic Textual Similarity, Monolingual and Cross-Lingual Evaluation",
        author="Agirre, Eneko and Banea, Carmen and Cer, Daniel and Diab, Mona and Gonzalez-Agirre, Aitor and "
        "Mihalcea, Rada and Rigau, German and Wiebe, Janyce",
        booktitle="Proceedings of the 10th International Workshop on Semantic Evaluation (SemEval-2016)",
        year="2016",
        publisher=_ACL,
        pages="497--511",
        doi="10.18653/v1/S16-1081",
    ),
    "STSBenchmark": _entry(
        "inproceedings",
        "cer-etal-2017-semeval",
        title="{SemEval}-2017 Task 1: Semantic Textual Similarity Multilingual and Crosslingual Focused Evaluation",
        author="Cer, Daniel and Diab, Mona and Agirre, Eneko and Lopez-Gazpio, I{\\~n}igo and Specia, Lucia",
        booktitle="Proceedings of the 11th International Workshop on Semantic Evaluation (SemEval-2017)",
        year="2017",
        publisher=_ACL,
        pages="1--14",
        doi="10.18653/v1/S17-2001",
    ),
    "SICKRelatedness": _entry(
        "inproceedings",
        "marelli-etal-2014-sick",
        title="A {SICK} cure for the evaluation of compositional distributional semantic models",
        author="Marelli, Marco and Menini, Stefano and Baroni, Marco and Bentivogli, Luisa and Bernardi, Raffaella "
        "and Zamparelli, Roberto",
        booktitle="Proceedings of the Ninth International Conference on Language Resources and Evaluation "
        "(LREC'14)",
        year="2014",
        publisher="European Language Resources Association (ELRA)",
        pages="216--223",
    ),
    "wilson": _entry(
        "article",
        "wilson-1927-probable",
        title="Probable Inference, the Law of Succession, and Statistical Inference",
        author="Wilson, Edwin B.",
        journal="Journal of the American Statistical Association",
        volume="22",
        number="158",
        year="1927",
        pages="209--212",
        doi="10.1080/01621459.1927.10502953",
    ),
    "alpha": _entry(
        "article",
        "hayes-krippendorff-2007-answering",
        title="Answering the Call for a Standard Reliability Measure for Coding Data",
        author="Hayes, Andrew F. and Krippendorff, Klaus",
        journal="Communication Methods and Measures",
        volume="1",
        number="1",
        year="2007",
        pages="77--89",
        doi="10.1080/19312450709336664",
    ),
    "gwet": _entry(
        "article",
        "gwet-2008-computing",
        title="Computing inter-rater reliability and its variance in the presence of high agreement",
        author="Gwet, Kilem Li",
        journal="British Journal of Mathematical and Statistical Psychology",
        volume="61",
        number="1",
        year="2008",
        pages="29--48",
        doi="10.1348/000711006X126600",
    ),
}
"""By our own short names; those of tasks are the tasks'."""

SYSTEMS: dict[str, tuple[str, ...]] = {
    "claif": ("claif",),
    "clhaif": ("claif", "simcse"),
    "clhaif-prompt": ("claif", "promptbert"),
    "dino": ("dino",),
    "dino-claif": ("dino", "claif"),
    "sbert": ("sbert",),
    "simcse": ("simcse",),
    "promptbert": ("promptbert",),
    "syncse": ("syncse", "simcse"),
    "official-syncse": ("syncse", "simcse"),
    "multicsr": ("multicsr", "simcse"),
}
"""What the name of a system, or its beginning, stands on. The longest beginning counts."""


def of_system(system: str) -> tuple[str, ...]:
    """Return the entries that a training system stands on."""
    known = [name for name in SYSTEMS if system == name or system.startswith(f"{name}-")]
    return SYSTEMS[max(known, key=len)] if known else ()


def of_backbone(model: str) -> tuple[str, ...]:
    """Return the entries of a backbone by its name; none where the name does not tell."""
    low = model.lower()
    return next(((name,) for name in ("minilm", "roberta", "bert") if name in low), ())


def bibtex(because: Iterable[tuple[str, str]]) -> str:
    """The entries with the reason for each as a comment above it."""
    return "\n\n".join(f"% {reason}\n{ENTRIES[name]}" for name, reason in because) + "\n"
