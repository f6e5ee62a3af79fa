// A presenter's page: its kernel ends when the page is left.
const config = JSON.parse(document.getElementById("jupyter-config-data").textContent);

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

// JupyterLab's widgets sometimes miss the state that the kernel sends them when they come up: the
// page is then loaded anew, a few times at most, while what the server drew stays in sight.
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
  const broken = document.getElementById("board").textContent.includes("Error displaying widget");
  if (waits && !broken && Date.now() - began < PATIENCE_MS) return;
  clearInterval(comingUp);
  if (waits) return startAgain();
  try {
    sessionStorage.removeItem(kept);
  } catch {
    // As above.
  }
}, 500);
