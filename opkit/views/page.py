"""The page around a report: one file, system fonts, inline shapes, nothing fetched."""

from __future__ import annotations

from typing import Final

from opkit.story.states import State
from opkit.views.tokens import css_tokens

CSS: Final[str] = (
    css_tokens()
    + """
*{box-sizing:border-box}
html{font-size:clamp(17px,1.05vw,20px)}
body{margin:0;background:var(--opkit-paper);color:var(--opkit-ink);line-height:1.45;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums}
header{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem 1.5rem;
padding:.7rem clamp(16px,1.7vw,32px);border-bottom:1px solid var(--opkit-line)}
header strong{font-size:1.2rem}
header strong+.soft{margin-right:auto}
.soft{color:var(--opkit-soft)}
main{display:grid;grid-template-columns:minmax(0,1fr) minmax(20rem,30%);gap:var(--opkit-gap);
padding:var(--opkit-gap) clamp(16px,1.7vw,32px);max-width:110rem;margin:auto}
main>*{min-width:0}
.side{display:grid;gap:var(--opkit-gap);align-content:start}
.wide{grid-column:1/-1}
.card{background:var(--opkit-card);border:1px solid var(--opkit-line);
border-radius:var(--opkit-radius-card);padding:22px 24px}
.flow{margin-bottom:var(--opkit-gap)}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .2rem;text-wrap:balance;
overflow-wrap:anywhere}
h2{font-size:.85rem;color:var(--opkit-soft);margin:0 0 .5rem;font-weight:700}
p{margin:.2rem 0 .7rem;max-width:62rem}
.figure+.figure{border-top:1px solid var(--opkit-line)}
.figure summary{display:flex;align-items:baseline;gap:.6rem;color:var(--opkit-soft);padding:.2rem 0}
.figure b{font-size:2.2rem;line-height:1.2;font-weight:700;color:var(--opkit-ink)}
.figure .took{margin-left:auto}
.figure ul{list-style:none;margin:0 0 .6rem;padding:0;font-size:.85rem}
.figure li{display:flex;justify-content:space-between;gap:1rem;padding:.15rem 0}
.figure a{color:inherit;text-decoration-color:var(--opkit-line);text-underline-offset:.2em}
.pill{display:inline-flex;align-items:center;gap:.35rem;font-weight:700;font-size:.85rem;
padding:.15rem .75rem;border-radius:var(--opkit-radius-pill)}
.t-done{color:var(--opkit-done);background:var(--opkit-done-tint)}
.t-refused{color:var(--opkit-shield);background:var(--opkit-shield-tint)}
.t-running{color:var(--opkit-run);background:var(--opkit-run-tint)}
.t-failed{color:var(--opkit-fail);background:var(--opkit-fail-tint)}
.t-waiting{color:var(--opkit-soft)}
.steps{list-style:none;margin:.6rem -12px 0;padding:0}
.steps summary,.steps .untold{display:grid;grid-template-columns:auto minmax(0,1fr) auto;
gap:.15rem .8rem;align-items:start;padding:.5rem 12px;border-radius:var(--opkit-radius-row);
min-height:44px}
summary{cursor:pointer;list-style:none}
summary::-webkit-details-marker{display:none}
.steps summary:hover{background:color-mix(in srgb,var(--opkit-line) 40%,transparent)}
:focus-visible{outline:2px solid var(--opkit-done);outline-offset:2px}
.steps .name{display:flex;flex-wrap:wrap;column-gap:.7rem;grid-column:2/-1;
font:700 max(.65rem,12px) ui-monospace,monospace;
color:var(--opkit-soft);letter-spacing:.02em;overflow-wrap:anywhere}
.steps .name i{font-style:normal;font-weight:400;white-space:nowrap}
.steps .took{color:var(--opkit-soft);font-size:.8rem;padding-top:.15rem;white-space:nowrap}
.steps .untold{color:var(--opkit-soft)}
.state{display:inline-grid;place-items:center;width:1.4rem;height:1.4rem;border-radius:50%;
margin-top:.1rem}
.state svg{width:1.1rem;height:1.1rem;stroke:currentColor;stroke-linecap:round;
stroke-linejoin:round}
.open{margin:0 12px 1rem calc(1.4rem + .8rem + 12px);padding:.2rem 0 .4rem}
details[open]>summary .took::after{content:" ▴"}
details:not([open])>summary .took::after{content:" ▾"}
table{border-collapse:collapse;width:100%;font-size:max(.75rem,15px);margin:.5rem 0 .8rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;
border-bottom:1px solid var(--opkit-line);overflow-wrap:anywhere}
th{color:var(--opkit-soft);font-weight:400}
thead th{font-weight:700;font-size:.7rem}
td{font-family:ui-monospace,"DejaVu Sans Mono",monospace;white-space:pre-line}
td td,td th{border-bottom:0;padding:.05rem .8rem .05rem 0}
td table{margin:0;width:auto}
td .state,th .state{width:1.1rem;height:1.1rem;margin:0}
td .state svg{width:.9rem;height:.9rem}
.checks td:last-child,.checks th:last-child{width:1.6rem;padding-right:0}
.values>tbody>tr>th{width:32%}
button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer;text-align:left}
.hash{font-family:ui-monospace,"DejaVu Sans Mono",monospace;border-bottom:1px dotted
var(--opkit-soft);overflow-wrap:anywhere}
button.copied::after{content:" copied";color:var(--opkit-done);font-weight:700}
.act{display:inline-flex;align-items:center;min-height:44px;padding:.3rem 1rem;margin:.2rem .4rem
.2rem 0;border:1px solid var(--opkit-line);border-radius:var(--opkit-radius-row);
color:var(--opkit-ink);text-decoration:none;background:var(--opkit-card)}
.act:hover{border-color:var(--opkit-soft)}
pre{font:max(.72rem,14px)/1.45 ui-monospace,"DejaVu Sans Mono",monospace;overflow:auto;
max-height:24rem;padding:.8rem 1rem;margin:.5rem 0;border-radius:var(--opkit-radius-row);
border:1px solid var(--opkit-line);background:var(--opkit-paper);white-space:pre-wrap;
overflow-wrap:anywhere}
.broken{border-color:var(--opkit-fail)}
.broken h1{color:var(--opkit-fail)}
.people{list-style:none;margin:0;padding:0}
.people summary{padding:.45rem 0;min-height:44px;display:flex;justify-content:space-between}
.people li+li{border-top:1px solid var(--opkit-line)}
@media (max-width:60rem){main{grid-template-columns:minmax(0,1fr)}}
@media (max-width:34rem){
html{font-size:17px}
.card{padding:16px}
.steps{margin-inline:-8px}
.steps summary,.steps .untold{padding:.5rem 8px}
.steps summary>span:nth-of-type(3),.steps .untold>span:nth-of-type(3){grid-column:2/-1}
.steps .name{grid-column:2}
.steps .took{grid-column:3;grid-row:2;padding:0}
.open{margin:0 8px 1rem 8px}
.checks thead{display:none}
.checks tr,.values>tbody>tr{display:grid;border-bottom:1px solid var(--opkit-line);
padding:.4rem 0}
.checks tr{grid-template-columns:minmax(0,1fr) auto}
.checks td,.checks th,.values>tbody>tr>td,.values>tbody>tr>th{border:0;padding:0;width:auto}
.checks td[data-side]{grid-column:1/-1;grid-row:auto}
.checks td[data-side]::before{content:attr(data-side) " ";color:var(--opkit-soft);
font-family:system-ui,sans-serif}
.checks td:last-child{grid-column:2;grid-row:1}
}
@media (prefers-reduced-motion:no-preference){.act,.steps summary{transition:border-color .15s,
background .15s}}
@media print{.act,header button{display:none}}
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
document.addEventListener('click',event=>{
const button=event.target.closest('button');if(!button)return;
if(button.id==='theme'){root.dataset.theme=dark()?'light':'dark';return}
const from=button.dataset.from&&document.getElementById(button.dataset.from);
const text=from?from.textContent:button.dataset.copy;
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
    """Return a state's shape on its tint, hidden from readers, who get the word."""
    return (
        f'<span class="state t-{state.value}"><svg viewBox="0 0 20 20" aria-hidden="true">'
        f"{state.drawing}</svg></span><span hidden>{state.word}</span>"
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
