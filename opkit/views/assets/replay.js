// Plays a recording: the cards as they were, at any moment of it. `painter` stands before this.

const TICK_MS = 50;
const recording = JSON.parse(document.getElementById("opkit-recording").textContent);
const part = (id) => document.getElementById(id);
const paint = painter(part("replay"));
const moments = recording.moments.map(([at]) => at);
const minutes = (ms) => {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
};

let at = 0;
let playing = false;
let ticked = 0;
let applied = 0; // How many patches `cards` stands after.
let cards = recording.pages.map(() => new Map());
let page = 0;
let painted = new Map();

// Bring `cards` to what they were at a moment; going back begins at the beginning.
function wind(until) {
  if (applied && recording.patches[applied - 1][0] > until) {
    cards = recording.pages.map(() => new Map());
    applied = 0;
  }
  while (applied < recording.patches.length && recording.patches[applied][0] <= until) {
    for (const [where, card, head, tail, middle] of recording.patches[applied][1]) {
      const old = cards[where].get(card) ?? "";
      cards[where].set(card, old.slice(0, head) + middle + old.slice(old.length - tail));
    }
    applied += 1;
  }
}

function draw() {
  wind(at);
  const now = cards[page];
  const changed = [...now].filter(([card, html]) => painted.get(card) !== html);
  const gone = [...painted.keys()].filter((card) => !now.has(card)).map((card) => [card, ""]);
  paint.apply({ frame: recording.pages[page].frame, cards: [...changed, ...gone] });
  painted = new Map(now);
  part("seek").value = at;
  part("seek").setAttribute("aria-valuetext", minutes(at));
  part("clock").textContent = `${minutes(at)} of ${minutes(recording.length)}`;
  part("play").textContent = playing ? "Pause" : at >= recording.length ? "Again" : "Play";
}

function go(to) {
  at = Math.max(0, Math.min(recording.length, to));
  draw();
}

function play(on) {
  playing = on;
  ticked = performance.now();
  if (on && at >= recording.length) at = 0;
  draw();
}

function tick() {
  if (!playing) return;
  const now = performance.now();
  at = Math.min(recording.length, at + (now - ticked) * Number(part("speed").value));
  ticked = now;
  if (at >= recording.length) playing = false;
  draw();
}

function step(by) {
  play(false);
  const next = moments.find((each) => each > at) ?? recording.length;
  const before = moments.filter((each) => each < at).at(-1) ?? 0;
  go(by > 0 ? next : before);
}

function open() {
  const wanted = recording.pages.findIndex((each) => `#${each.name}` === location.hash);
  page = Math.max(0, wanted);
  painted = new Map();
  for (const link of document.querySelectorAll(".bar nav a")) {
    const here = link.hash === `#${recording.pages[page].name}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  draw();
}

part("play").onclick = () => play(!playing);
part("next").onclick = () => step(1);
part("back").onclick = () => step(-1);
part("seek").oninput = (event) => {
  const wanted = Number(event.target.value); // Drawing sets it back.
  play(false);
  go(wanted);
};

// A sentence leads to the moment at which it had been told.
part("replay").addEventListener("click", (event) => {
  const row = event.target.closest?.('li[id^="step-"]');
  const moment = row && recording.moments.find(([, marker]) => `step-${marker}` === row.id);
  if (!moment) return;
  play(false);
  go(moment[0]);
});

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const typing = target.closest?.("input,select,a,summary");
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
  if (key === " " && target.closest?.("button")) return;
  const bound = document.querySelector(`#player [data-key="${CSS.escape(SAME_KEY[key] ?? key)}"]`);
  if (!bound) return;
  event.preventDefault();
  bound.click();
});

addEventListener("hashchange", open);
setInterval(tick, TICK_MS);
open();
