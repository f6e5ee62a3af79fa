// A presenter's page: its kernel ends when the page is left.
const config = JSON.parse(document.getElementById("jupyter-config-data").textContent);

addEventListener("pagehide", () => {
  navigator.sendBeacon(`${config.baseUrl}voila/api/shutdown/${config.kernelId}`);
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // Its kernel ended when it was left.
});
