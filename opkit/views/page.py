"""The page around a report: one file, system fonts, inline shapes, nothing fetched."""

from __future__ import annotations

from typing import Final

from opkit.story.states import State
from opkit.views.style import common_css
from opkit.views.tokens import css_tokens

CSS: Final[str] = (
    css_tokens()
    + common_css()
    + """
html{font-size:clamp(17px,1.05vw,20px)}
body{margin:0;background:var(--opkit-paper);color:var(--opkit-ink);line-height:1.45;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums}
header{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem 1.5rem;
padding:.7rem clamp(16px,1.7vw,32px);border-bottom:1px solid var(--opkit-line)}
header strong{font-size:1.2rem}
header strong+.soft{margin-right:auto}
main{display:grid;grid-template-columns:minmax(0,1fr) minmax(20rem,30%);gap:var(--opkit-gap);
padding:var(--opkit-gap) clamp(16px,1.7vw,32px);max-width:110rem;margin:auto}
main>*{min-width:0}
.side{display:grid;gap:var(--opkit-gap);align-content:start}
.wide{grid-column:1/-1}
.flow{margin-bottom:var(--opkit-gap)}
.figure+.figure{border-top:1px solid var(--opkit-line)}
@media (max-width:60rem){main{grid-template-columns:minmax(0,1fr)}}
@media (max-width:34rem){html{font-size:17px}}
@media print{header button{display:none}}
"""
)

SCRIPT: Final[str] = """
const root=document.documentElement;
const dark=()=>root.dataset.theme?root.dataset.theme==='dark':
matchMedia('(prefers-color-scheme:dark)').matches;
function copy(text){
if(navigator.clipboard&&isSecureContext)return navigator.clipboard.writeText(text);
const area=document.createElement('textarea');area.value=text;area.style.position='fixed';
document.body.append(area);area.select();document.execCommand('copy');area.remove();
return Promise.resolve()}
function told(run,{flow,marker}){
const of=(all,name)=>all.find(one=>one.name===name);
return JSON.stringify(of(of(JSON.parse(run).flows,flow).markers,marker),null,2)}
document.addEventListener('click',event=>{
const button=event.target.closest('button');if(!button)return;
if(button.id==='theme'){root.dataset.theme=dark()?'light':'dark';return}
const from=button.dataset.from&&document.getElementById(button.dataset.from);
const text=from?told(from.textContent,button.dataset):button.dataset.copy;
if(text===undefined)return;
event.preventDefault();
copy(text).then(()=>{button.classList.add('copied');
setTimeout(()=>button.classList.remove('copied'),1500)})});
function reveal(){const there=location.hash&&document.getElementById(location.hash.slice(1));
const within=there&&there.querySelector('details');if(within)within.open=true}
addEventListener('hashchange',reveal);reveal();
"""

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def icon(state: State) -> str:
    """Return a state's shape on its tint; readers are told the word."""
    return (
        f'<span class="state t-{state.value}" role="img" aria-label="{state.word}">'
        f'<svg viewBox="0 0 20 20" aria-hidden="true">{state.drawing}</svg></span>'
    )


def page(*, title: str, body: str) -> str:
    """Return a whole page; `title` and `body` are markup already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{CSS}</style></head>\n<body>{body}"
        f"<script>{SCRIPT}</script></body></html>\n"
    )
