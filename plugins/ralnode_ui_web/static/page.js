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

  // A link to a node opens what can be done with it.
  const show = () => {
    const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
    const menu = target ? target.querySelector("details.menu") : null;
    if (menu) menu.open = true;
  };
  window.addEventListener("hashchange", show);
  show();

  const lost = document.querySelector(".lost");
  const say = (text) => { if (lost && lost.textContent !== text) lost.textContent = text; };
  document.addEventListener("htmx:sseOpen", () => say(""));
  document.addEventListener("htmx:sseError", () => say("not live: the connection is lost, or you were signed out"));
})();
