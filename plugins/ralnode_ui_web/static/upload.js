// Adds files by drag and drop or choice, one after the other, with progress; goes on where an upload was cut off.
// Without it the same form posts the files.
(() => {
  "use strict";
  const form = document.getElementById("add");
  if (!form || !window.XMLHttpRequest) return;
  const input = form.querySelector("input[type=file]");
  const list = form.querySelector(".uploads");
  const header = form.dataset.csrfHeader;
  const token = form.querySelector("input[type=hidden]").value;
  input.multiple = true; // without this script one file is posted at a time
  const waiting = [];
  let busy = false;

  const address = (file, offset) => form.action + "?" + new URLSearchParams({
    name: file.name, size: file.size, mtime_ms: file.lastModified, ...(offset === null ? {} : { offset }),
  });

  const size = (bytes) => {
    for (const [unit, factor] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
      if (bytes >= factor) return (bytes / factor).toFixed(1) + " " + unit;
    }
    return bytes + " B";
  };

  const line = (file) => {
    const item = document.createElement("li");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = file.name;
    const state = document.createElement("span");
    state.textContent = size(file.size) + ", waiting";
    const bar = document.createElement("progress");
    bar.max = Math.max(1, file.size);
    bar.value = 0;
    bar.setAttribute("aria-label", "added of " + file.name);
    item.append(name, state, bar);
    list.append(item);
    while (list.children.length > 50) list.firstChild.remove();
    return { state, bar };
  };

  // What of it is here of an upload that was cut off, and why it would be refused: sending first would show no reason.
  const begun = async (file) => {
    try {
      const answer = await fetch(address(file, null), { headers: { Accept: "application/json" } });
      if (!answer.ok) return { offset: 0, refusal: "" };
      const { offset, refusal } = await answer.json();
      return { offset: Math.min(file.size, offset || 0), refusal: refusal || "" };
    } catch {
      return { offset: 0, refusal: "" };
    }
  };

  const send = (file, offset, shown) => new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address(file, offset));
    request.setRequestHeader(header, token);
    request.setRequestHeader("Accept", "application/json");
    const started = performance.now();
    request.upload.onprogress = (event) => {
      shown.bar.value = offset + event.loaded;
      const rate = event.loaded / Math.max(0.001, (performance.now() - started) / 1000);
      const done = Math.floor(100 * (offset + event.loaded) / Math.max(1, file.size));
      shown.state.textContent = done < 100 ? done + " %, " + size(rate) + "/s" : "100 %, making it durable";
    };
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* said below */ }
      resolve(request.status < 300 ? "" : answer.error || "refused (" + request.status + ")");
    };
    request.onerror = () => resolve("the connection was lost; drop the file again to go on");
    request.send(offset ? file.slice(offset) : file);
  });

  const work = async () => {
    if (busy) return;
    busy = true;
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { file, shown } = next;
      const { offset, refusal } = await begun(file);
      const problem = refusal || await send(file, offset, shown);
      shown.state.textContent = problem || size(file.size) + " added";
      shown.state.className = problem ? "failed" : "done";
      if (!problem) shown.bar.value = shown.bar.max;
      else shown.bar.remove();
    }
    busy = false;
  };

  const add = (files) => {
    for (const file of files) waiting.push({ file, shown: line(file) });
    work();
  };

  const refuse = (name) => {
    const shown = line({ name, size: 0 });
    shown.bar.remove();
    shown.state.textContent = "a folder: add it with ralnode add";
    shown.state.className = "failed";
  };

  const dropped = (transfer) => {
    const files = [];
    for (const item of transfer.items || []) {
      if (item.kind !== "file") continue;
      const entry = item.webkitGetAsEntry ? item.webkitGetAsEntry() : null;
      if (entry && entry.isDirectory) refuse(entry.name);
      else files.push(item.getAsFile());
    }
    return files.filter(Boolean);
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    add(input.files);
    input.value = "";
  });
  input.addEventListener("change", () => form.requestSubmit());
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer || ![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      form.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) form.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer || ![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    form.classList.remove("over");
    add(dropped(event.dataTransfer));
  });
  window.addEventListener("beforeunload", (event) => { if (busy) event.preventDefault(); });
})();
