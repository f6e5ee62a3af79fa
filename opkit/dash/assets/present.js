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
