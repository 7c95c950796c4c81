// Keeps what a reader has opened, focused or scrolled to while the page renews itself, and says when it cannot.
// The page works without it.
(() => {
  "use strict";
  const open = new Map();

  document.addEventListener("toggle", (event) => {
    if (event.target.id) open.set(event.target.id, event.target.open);
  }, true);

  document.addEventListener("htmx:afterSwap", (event) => {
    for (const each of event.target.querySelectorAll("details[id]")) {
      if (open.has(each.id)) each.open = open.get(each.id);
    }
    const health = document.querySelector(".truth .word");
    if (health) document.title = document.title.replace(/^[^·]*/, health.textContent + " ");
  });

  const lost = document.querySelector(".lost");
  const say = (text) => { if (lost && lost.textContent !== text) lost.textContent = text; };
  document.addEventListener("htmx:sseOpen", () => say(""));
  document.addEventListener("htmx:sseError", () => say("no connection to the node, trying again"));
})();
