// Sets the theme before anything is drawn; the switch itself is the board's.
try {
  const kept = localStorage.getItem("opkit-theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
} catch {
  // Storage may be forbidden: the theme then follows the system.
}
