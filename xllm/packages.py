"""Which package of the Python package index has a module that isn't here."""

from importlib.machinery import ModuleSpec
from importlib.util import find_spec

# modules that are named otherwise than their package, as one types it to pip, to which - and _ are the same
PACKAGES = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "Levenshtein": "Levenshtein",
    "MeCab": "mecab-python3",
    "PIL": "Pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "comet": "unbabel-comet",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "google.protobuf": "protobuf",
    "indicnlp": "indic-nlp-library",
    "iso639": "iso-639 'setuptools<82'",  # it reads its tables by pkg_resources, which setuptools 82 has no more
    "magic": "python-magic",
    "pkg_resources": "'setuptools<82'",
    "pptx": "python-pptx",
    "ruamel": "ruamel.yaml",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}


def package_of(module: str) -> str:
    """The package that has a module, such as scikit-learn for sklearn.metrics."""
    top = module.partition(".")[0]
    return next((PACKAGES[name] for name in (module, top) if name in PACKAGES), top.replace("_", "-"))


def missing(error: ImportError) -> str | None:
    """What an import failed at, and the command that mends it; None where the error doesn't say."""
    module = error.name
    if not module or "partially initialized" in str(error):  # modules that import each other
        return None
    from importlib import metadata  # which takes as long as all else that a command needs to begin

    top, absent = module.partition(".")[0], isinstance(error, ModuleNotFoundError)
    spec = _spec(top)
    if absent and (spec is None or spec.origin is None):  # a folder that several packages share has none, as google
        package = package_of(module) if spec is None else module.replace(".", "-")
        return f"it imports {module}, which isn't installed: pip install {package}"
    what = module if absent else str(error).partition(" (")[0].removeprefix("cannot import name ").replace("'", "")
    names = list(dict.fromkeys(metadata.packages_distributions().get(top, [])))
    found = f"{names[0]} {metadata.version(names[0])}" if names else f"the module {top} here"
    package = PACKAGES.get(top, top)
    other = top in PACKAGES and _plain(package.split()[0]) not in map(_plain, names)  # with a module of the same name
    mend = f": pip install {package}" if other else ""
    return f"it imports {what}, which {found} doesn't have{mend}"


def _spec(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except (ImportError, ValueError):  # of a module that was put there by hand
        return None


def _plain(package: str) -> str:
    """A package's name as pip compares it."""
    return package.lower().replace("_", "-").replace(".", "-")
