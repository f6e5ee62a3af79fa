// A presenter's page: its board lives in a kernel of its own, which ends when the page is left. It
// is reached by the one kind of message that it takes; none of Jupyter's scripts is loaded.
// Source: Jupyter messaging protocol 5.4; ipywidgets messaging protocol 2.1.
import board from "./board.js";

const RETRY_MS = [250, 500, 1000, 2000, 4000, 5000];

const config = JSON.parse(document.getElementById("kernel").textContent);
const place = document.getElementById("board");
const widget = place.querySelector("[data-widget]")?.dataset.widget;

// The connection to a widget with what a board asks of a model; it connects again when it breaks.
function channel() {
  const path = `${config.baseUrl}api/kernels/${config.kernelId}/channels`;
  const address = new URL(path, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const session = [...crypto.getRandomValues(new Uint32Array(4))].join("-");
  address.searchParams.set("session_id", session);
  const [listeners, opened] = [new Set(), new Set()];
  let [socket, tries, sent, why, gone] = [null, 0, 0, "", undefined];

  function packed(content) {
    const date = new Date().toISOString();
    const header = { msg_id: `${session}-${++sent}`, msg_type: "comm_msg", session, date };
    return JSON.stringify({
      channel: "shell",
      header: { ...header, username: "", version: "5.3" },
      parent_header: {},
      metadata: {},
      content: { comm_id: widget, data: { method: "custom", content } },
      buffers: [],
    });
  }

  function hear({ data }) {
    if (typeof data !== "string") return;
    const { header, content } = JSON.parse(data);
    if (header.msg_type !== "comm_msg" || content.comm_id !== widget) return;
    if (content.data.method === "custom") for (const tell of listeners) tell(content.data.content);
  }

  function open() {
    socket = new WebSocket(address);
    socket.onmessage = hear;
    socket.onopen = () => {
      [tries, why, gone] = [0, "", undefined];
      for (const tell of opened) tell();
    };
    socket.onclose = (event) => {
      why = event.reason;
      gone ??= Date.now();
      setTimeout(open, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
    };
  }

  open();
  return {
    send: (message) => socket.readyState === 1 && socket.send(packed(message)),
    on: (_, tell) => listeners.add(tell),
    off: (_, tell) => listeners.delete(tell),
    onOpen: (tell) => opened.add(tell),
    why: () => why,
    goneSince: () => gone,
  };
}

if (widget) board.render({ model: channel(), el: place });

addEventListener("pagehide", () => {
  navigator.sendBeacon(`${config.baseUrl}voila/api/shutdown/${config.kernelId}`);
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // Its kernel ended when it was left.
});

// A kernel that has ended does not come back: the page is loaded anew, and gets another one.
async function heal() {
  const lost = document.querySelector(".board-lost");
  if (document.hidden || !lost || lost.hidden) return;
  try {
    const address = `${config.baseUrl}api/kernels/${config.kernelId}`;
    const answer = await fetch(address, { redirect: "manual", cache: "no-store" });
    if (!answer.ok) location.reload();
  } catch {
    // The server does not answer: the board says so, and tries again.
  }
}

setInterval(heal, 5000);

// A kernel that does not draw is replaced: the page is loaded anew, a few times at most, while what
// the server drew stays in sight.
const RELOADS_MAX = 2;
const PATIENCE_MS = 30000;
const kept = `opkit-reloads:${location.pathname}`;
const began = Date.now();

function startAgain() {
  let reloads = RELOADS_MAX;
  try {
    reloads = Number(sessionStorage.getItem(kept));
    sessionStorage.setItem(kept, String(reloads + 1));
  } catch {
    // Without storage nothing would end a row of reloads: there is none.
  }
  if (reloads < RELOADS_MAX) return location.reload();
  document.getElementById("first").remove();
  document.getElementById("failed").hidden = false;
}

const comingUp = setInterval(() => {
  const waits = document.getElementById("first") !== null;
  if (waits && Date.now() - began < PATIENCE_MS) return;
  clearInterval(comingUp);
  if (waits) return startAgain();
  try {
    sessionStorage.removeItem(kept);
  } catch {
    // As above.
  }
}, 500);
