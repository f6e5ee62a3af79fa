// A board: paints the cards that Python draws, and tells Python what is clicked.
// One script for dashboards, notebooks, viewers' pages and replays; it knows no page by name.
// `Idiomorph` stands before it in the bundle. Source: ADR 0015.

const HAVE_MS = 250; // How often at most it says how much it has painted.
const LOOK_MS = 500; // How often it looks whether the connection still answers.
const HERE_MS = 2000; // How often the page says that it is still looked at.
const LOST_MS = 5000; // After how long without an answer the connection counts as lost.
const GONE_MS = 1000; // The same for one that is known to be closed, and did not open again.
const HELLO_MS = 1000; // How often at most a lost connection is asked for everything.
const RELOAD_MS = 30000; // After how long a lost connection offers to load the page anew.
const FLASH_MS = 10000;
const RETRY_MS = [250, 500, 1000, 2000, 4000, 5000];
const SAME_KEY = { PageDown: "ArrowRight", PageUp: "ArrowLeft" }; // What a clicker sends.
const THEME = "opkit-theme";
const NOT_ARGUMENTS = new Set(
  ["act", "key", "copy", "from", "new", "follow", "card", "label", "bring", "begins"],
);

const root = document.documentElement;
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const clock = (ms) => new Date(ms).toTimeString().slice(0, 8);

function made(name, className, text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

// ---- painting ----------------------------------------------------------------------------------

// What the reader did to an element stays: an opened `details`, a pressed button, "copied".
function keepsOwn(attribute, element) {
  if (attribute === "open" && element.tagName === "DETAILS") return false;
  if (attribute === "aria-busy") return false;
  return !(attribute === "class" && element.classList.contains("copied"));
}

function morph(element, html) {
  Idiomorph.morph(element, html, {
    morphStyle: "innerHTML",
    // It also keeps an element's children, so it is only for those whose text the reader types.
    ignoreActiveValue: document.activeElement !== null && isTyping(document.activeElement),
    callbacks: { beforeAttributeUpdated: keepsOwn },
  });
}

// Returns what paints messages into `el`: `apply` frames and cards, `flash` and `lost` for people.
export function painter(el) {
  el.classList.add("opkit", "opkit-board");
  const lostBar = made("div", "board-lost");
  const flashes = made("div", "board-flashes");
  const stage = made("div", "board-stage");
  lostBar.setAttribute("role", "status");
  lostBar.hidden = true;
  flashes.setAttribute("role", "status");
  el.replaceChildren(lostBar, flashes, stage);
  let framed = null;
  let followed = null;
  let brought = null;
  const begun = new WeakMap();

  function place(id) {
    const wanted = `[data-card="${CSS.escape(id)}"]`;
    return stage.querySelector(wanted) ?? document.querySelector(wanted);
  }

  function follow() {
    const current = stage.querySelector("[data-follow]");
    if (!current || current === followed) return;
    followed = current;
    const region = current.closest(".scroll");
    if (!region) return;
    const shift = current.getBoundingClientRect().top - region.getBoundingClientRect().top;
    const top = region.scrollTop + shift - (region.clientHeight - current.clientHeight) / 2;
    region.scrollTo({ top, behavior: calm() ? "auto" : "smooth" });
  }

  // What glides away under the pointer would be missed by the click.
  function halt(event) {
    const region = event.target.closest?.(".scroll");
    region?.scrollTo({ top: region.scrollTop, behavior: "instant" });
  }

  // On a phone what a click has opened may lie below the screen.
  function bring() {
    const opened = stage.querySelector("[data-bring]");
    const which = opened?.dataset.bring ?? "";
    const isNew = brought !== null && which !== brought;
    brought = which;
    if (!opened || !isNew) return;
    const { top } = opened.getBoundingClientRect();
    if (top >= 0 && top < innerHeight * 0.75) return;
    opened.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
  }

  // What is now of something else begins at its top.
  function rewind() {
    for (const first of stage.querySelectorAll("[data-begins]")) {
      const region = first.closest(".scroll");
      if (!region || begun.get(region) === first.dataset.begins) continue;
      begun.set(region, first.dataset.begins);
      region.scrollTop = 0;
    }
  }

  stage.addEventListener("pointerdown", halt);
  return {
    el,
    apply({ frame = null, cards = [] }) {
      if (frame !== null && frame !== framed) {
        stage.innerHTML = frame;
        framed = frame;
      }
      for (const [id, html] of cards) {
        const element = place(id);
        if (element) morph(element, html);
      }
      follow();
      rewind();
      bring();
    },
    flash({ tone = "", text, hint = "" }) {
      const flash = made("div", `board-flash t-${tone === "failed" ? "failed" : "done"}`);
      flash.append(made("b", "", text), made("span", "", hint));
      const close = made("button", "", "×");
      close.setAttribute("aria-label", "Dismiss");
      close.onclick = () => flash.remove();
      flash.append(close);
      flashes.append(flash);
      while (flashes.childElementCount > 3) flashes.firstChild.remove();
      setTimeout(() => flash.remove(), FLASH_MS);
    },
    lost(text, { reload = false } = {}) {
      lostBar.hidden = !text;
      if (lostBar.dataset.text === text + reload) return;
      lostBar.dataset.text = text + reload;
      const said = made("p", "", text);
      lostBar.replaceChildren(said);
      if (!reload) return;
      const again = made("button", "act", "Reload");
      again.onclick = () => location.reload();
      said.append(again);
    },
  };
}

// ---- controls ----------------------------------------------------------------------------------

function argumentsOf(control) {
  const given = Object.entries(control.dataset).filter(([name]) => !NOT_ARGUMENTS.has(name));
  if (control.tagName === "FORM") given.push(...new FormData(control));
  else if ("value" in control && control.tagName !== "BUTTON") given.push(["value", control.value]);
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}

function isTyping(target) {
  return target.closest?.("input,textarea,select,[contenteditable]") !== null;
}

// Calls `act(control)` for whatever is used within `el`; returns what ends the listening.
function controls(el, act) {
  const ending = new AbortController();
  const listen = (target, type, take) =>
    target.addEventListener(type, take, { signal: ending.signal });
  const used = (event, kinds) => {
    const control = event.target.closest?.("[data-act]");
    if (!control || !el.contains(control) || !kinds(control)) return;
    event.preventDefault();
    if (!control.disabled && control.getAttribute("aria-busy") !== "true") act(control);
    // After a click by hand a space bar that the page has bound is the page's again.
    const byHand = event.detail > 0 && control.tagName === "BUTTON";
    if (byHand && el.querySelector(`[data-key=" "]`)) control.blur();
  };
  const isField = (control) => control.matches("input,select,textarea");
  listen(el, "click", (event) => used(event, (one) => !isField(one) && one.tagName !== "FORM"));
  listen(el, "change", (event) => used(event, isField));
  listen(el, "submit", (event) => used(event, (one) => one.tagName === "FORM"));
  listen(document, "keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(target)) return;
    const presses = key === "Enter" || key === " ";
    if (presses && target.closest?.("a,button,summary")) return;
    if (presses && target.matches?.("[data-act]")) return used(event, () => true);
    if (target !== document.body && !el.contains(target)) return;
    if (key in SAME_KEY && target.matches?.(".scroll")) return; // There it turns the page.
    const wanted = CSS.escape(SAME_KEY[key] ?? key);
    const bound = el.querySelector(`[data-key="${wanted}"]:not([disabled])`);
    if (!bound) return;
    event.preventDefault();
    bound.click();
  });
  return () => ending.abort();
}

// ---- the two ends of a session -----------------------------------------------------------------

// Keeps `el` the same as the page behind `model` (`send`, `on`, `off`; a model that knows its
// connection also has `onOpen`, `goneSince`, `why`); returns what ends that.
function attend(model, el) {
  const paint = painter(el);
  const waiting = new Map();
  let [acts, beats, heard, said, isLost] = [0, 0, Date.now(), 0, false];
  let [revision, having] = [0, null];

  function send(message) {
    said = Date.now();
    try {
      model.send(message);
    } catch (gone) {
      console.debug("opkit: not sent", gone);
    }
  }

  function have() {
    having = null;
    send({ do: "have", rev: revision });
  }

  function take(message) {
    heard = Date.now();
    if (isLost) {
      isLost = false;
      paint.lost("");
    }
    if (message.rev !== undefined) {
      paint.apply(message);
      revision = message.rev;
      having ??= setTimeout(have, HAVE_MS);
    }
    if (message.flash) paint.flash(message.flash);
    if (message.done !== undefined) {
      waiting.get(message.done)?.removeAttribute("aria-busy");
      waiting.delete(message.done);
    }
  }

  function look() {
    const now = Date.now();
    if (document.hidden) return;
    const gone = model.goneSince?.() ?? now;
    if (now - heard > LOST_MS || now - Math.max(gone, heard) > GONE_MS) {
      isLost = true;
      const why = model.why?.() || "trying again";
      const text = `Connection lost since ${clock(heard)}, ${why}.`;
      paint.lost(text, { reload: now - heard > RELOAD_MS });
      if (now - said > HELLO_MS) send({ do: "hello" });
    } else if (now - said > HERE_MS) send({ do: "here", n: ++beats });
  }

  function shown() {
    if (document.hidden) return;
    heard = Date.now(); // A hidden page is not told much; it has not lost anything by that.
    send({ do: "hello" });
  }

  const leave = controls(el, (control) => {
    control.setAttribute("aria-busy", "true");
    waiting.set(++acts, control);
    send({ do: "act", n: acts, act: control.dataset.act, args: argumentsOf(control) });
  });
  const timer = setInterval(look, LOOK_MS);
  document.addEventListener("visibilitychange", shown);
  model.on("msg:custom", take);
  model.onOpen?.(() => send({ do: "hello" }));
  send({ do: "hello" });
  return () => {
    clearInterval(timer);
    clearTimeout(having);
    document.removeEventListener("visibilitychange", shown);
    model.off("msg:custom", take);
    leave();
  };
}

// A WebSocket with what `attend` asks of a model: it connects again, less and less often.
function channel(url) {
  const address = new URL(url, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const [listeners, opened] = [new Set(), new Set()];
  let [socket, tries, ended, why, gone] = [null, 0, false, "", undefined];

  function open() {
    socket = new WebSocket(address);
    socket.onopen = () => {
      [tries, why, gone] = [0, "", undefined];
      for (const tell of opened) tell();
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      for (const tell of listeners) tell(message);
    };
    socket.onclose = (event) => {
      why = event.reason;
      gone ??= Date.now();
      const pause = RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)];
      if (!ended) setTimeout(open, pause * (0.75 + Math.random() / 2));
    };
  }

  open();
  return {
    send: (message) => socket.readyState === 1 && socket.send(JSON.stringify(message)),
    on: (_, tell) => listeners.add(tell),
    off: (_, tell) => listeners.delete(tell),
    onOpen: (tell) => opened.add(tell),
    why: () => why,
    goneSince: () => gone,
    close() {
      ended = true;
      socket.close();
    },
  };
}

// Keeps `el` the same as the page whose session answers at `url`; returns what ends that.
export function connect(el, url) {
  const model = channel(url);
  const leave = attend(model, el);
  return () => {
    leave();
    model.close();
  };
}

// What anywidget calls. Source: anywidget front-end module specification.
function render({ model, el }) {
  return attend(model, el);
}

// ---- the page around ---------------------------------------------------------------------------

function isDark() {
  const chosen = root.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function remembered(theme) {
  try {
    if (theme) localStorage.setItem(THEME, theme);
    return localStorage.getItem(THEME);
  } catch {
    return null; // A browser that keeps nothing shows the system's theme.
  }
}

async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const area = made("textarea", "");
  area.value = text;
  area.style.position = "fixed";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

async function clicked(event) {
  if (event.target.closest?.("[data-theme-switch]")) {
    root.dataset.theme = remembered(isDark() ? "light" : "dark") ?? "";
    return;
  }
  const button = event.target.closest?.(".opkit [data-copy], .opkit [data-from]");
  if (!button) return;
  const from = button.dataset.from && document.getElementById(button.dataset.from);
  event.preventDefault();
  await copy(from ? from.textContent : button.dataset.copy ?? "");
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
}

if (!window.opkitBoard) {
  window.opkitBoard = true; // Every widget loads this module anew; the page is listened to once.
  const theme = remembered();
  if (theme) root.dataset.theme = theme;
  document.addEventListener("click", clicked);
  for (const el of document.querySelectorAll("[data-board]")) connect(el, el.dataset.board);
}

export default { render };
