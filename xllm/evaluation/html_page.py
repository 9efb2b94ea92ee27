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
th.number { text-align: end; }
tr.average td { background: #f4f6f8; font-style: italic; }
.wide { overflow-x: auto; }
.plain { list-style: none; padding: 0; }
.plain li, code, dd { overflow-wrap: anywhere; }
td.number a { color: inherit; text-decoration: none; border-bottom: 1px dotted #999; }
figure { display: inline-block; max-width: 100%; margin: 1rem 2rem 1rem 0; vertical-align: top; }
figure svg { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: 13px; }
.made h3 { font-size: 15px; margin: 1rem 0 .2rem; overflow-wrap: anywhere; }
.made dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0 1rem; margin: 0; font-size: 13px; }
.made dd { margin: 0; white-space: pre-wrap; font-family: ui-monospace, monospace; }
.made .close { display: none; }
.made:target { position: fixed; inset: auto 0 0 0; max-height: 60vh; overflow: auto; padding: .5rem 1.5rem 1rem;
  background: #fff; border-top: 2px solid #888; box-shadow: 0 -4px 16px #0003; }
.made:target .close { display: block; position: absolute; top: .6rem; right: 1.5rem; }
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
