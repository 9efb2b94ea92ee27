"""What HTML pages of results have in common: one file each, without scripts, that a browser shows offline."""

import jinja2

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 14px; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .7rem; text-align: start; vertical-align: top; }
th { border-bottom: 2px solid #888; }
td.number { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.missing { background: #f6e6e6; color: #a33; }
td.text { unicode-bidi: plaintext; white-space: pre-wrap; overflow-wrap: anywhere; min-width: 12rem; }
"""

_ENVIRONMENT = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)


def render(title: str, body: str, **values: object) -> str:
    """A page with this title; `body` is a Jinja template that gets `values`, every text among them escaped."""
    shell = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{{{{ title }}}}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{{{{ title }}}}</h1>\n"
    )
    return _ENVIRONMENT.from_string(f"{shell}{body}\n</body>\n</html>\n").render(title=title, **values)
