// Shows the board in place of what the server drew as soon as the board has drawn something itself.
const first = document.getElementById("first");
const board = document.getElementById("board");
const failed = document.getElementById("failed");

function look() {
  const drawn = board.querySelector("[data-card]:not(:empty)");
  const broken = !drawn && failed && board.querySelector("[data-failed]");
  if (!drawn && !broken) return;
  watching.disconnect();
  if (broken) failed.hidden = false;
  else board.hidden = false;
  first.remove();
}

const watching = new MutationObserver(look);
watching.observe(board, { childList: true, subtree: true });
look();

// Where not all pages fit into the navigation, the one that is open does.
const here = document.querySelector("nav [aria-current]");
here?.scrollIntoView({ block: "nearest", inline: "center" });
