// A log that is followed. hx-sse keeps the stream, pauses it while the tab is hidden, and asks for what came since.
"use strict";

(() => {
  const log = document.getElementById("log");
  const note = document.getElementById("log-note");
  const follow = document.getElementById("follow");
  if (!log) return;
  const MOST = 5000; // lines in the page; the server has all of them
  const hasHosts = log.dataset.hosts === "many";

  for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = !log.dataset.stream;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  toEnd();

  let waiting = [];
  let isDue = false;
  const write = () => {
    isDue = false;
    const lines = waiting.slice(-MOST);
    waiting = [];
    const all = document.createDocumentFragment();
    for (const [host, text] of lines) {
      const line = document.createElement("span");
      line.className = "line";
      if (hasHosts) {
        const from = document.createElement("span");
        from.className = "host";
        from.textContent = `${host} `;
        line.append(from);
      }
      line.append(text);
      all.append(line);
    }
    log.querySelector("[data-none]")?.remove();
    log.append(all);
    const over = log.childElementCount - MOST;
    if (over > 0) {
      const range = document.createRange();
      range.setStartBefore(log.firstElementChild);
      range.setEndAfter(log.children[over - 1]);
      range.deleteContents();
      note.textContent = `The last ${MOST} lines; a download has all of them.`;
    }
    if (follow?.checked) toEnd();
  };

  log.addEventListener("lines", (event) => {
    for (const line of JSON.parse(event.detail.data)) waiting.push(line);
    log.dataset.position = event.detail.id;
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(write);
  });
  log.addEventListener("points", (event) => charts.add(JSON.parse(event.detail.data)));
  log.addEventListener("again", () => {
    waiting = [];
    log.replaceChildren();
  });
  log.addEventListener("full", () => { note.textContent = "Too many pages follow a log: this one tries again in a moment."; });
  // A job that has ended has its results in a moment: the page is made again with them.
  log.addEventListener("ended", () => {
    log.removeAttribute("hx-sse:connect");
    setTimeout(() => location.reload(), 2500);
  });
  log.addEventListener("htmx:sse:before:connection", (event) => {
    if (!log.hasAttribute("hx-sse:connect")) event.preventDefault();
  });
})();
