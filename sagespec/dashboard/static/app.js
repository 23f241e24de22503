// What every page has: tables that are asked for again, but not while nobody looks, and not swapped when nothing changed.
"use strict";

(() => {
  const live = document.getElementById("live");
  const offline = document.getElementById("offline");
  const said = document.getElementById("said");

  const isPoll = (event) => event.detail.ctx && event.detail.ctx.sourceElement === live;

  const banner = (text) => {
    offline.textContent = text;
    offline.hidden = !text;
  };

  // States are announced when they change; numbers are not.
  const states = () => new Map([...live.querySelectorAll("[data-state-of]")].map((e) => [e.dataset.stateOf, e.textContent.trim()]));
  let before = live ? states() : new Map();
  const announce = () => {
    const now = states();
    const changed = [...now].filter(([name, word]) => before.has(name) && before.get(name) !== word);
    before = now;
    if (changed.length) said.textContent = changed.slice(0, 3).map(([name, word]) => `${name}: ${word}`).join("; ");
  };

  document.addEventListener("htmx:config:request", (event) => {
    if (!isPoll(event)) return;
    if (document.hidden || live.contains(document.activeElement?.closest("[data-hold]"))) return event.preventDefault();
    if (live.dataset.etag) event.detail.ctx.request.headers["If-None-Match"] = live.dataset.etag;
  });

  document.addEventListener("htmx:after:request", (event) => {
    if (!isPoll(event)) return;
    const { status, headers } = event.detail.ctx.response;
    if (status === 401) return location.reload();
    banner(status >= 400 ? `The dashboard answered ${status}: what is shown may be old.` : "");
    if (status === 200) live.dataset.etag = headers.get("ETag") || "";
  });

  document.addEventListener("htmx:after:swap", announce);
  document.addEventListener("htmx:error", (event) => {
    if (isPoll(event)) banner("sagespec does not answer: what is shown is old.");
  });

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && live) htmx.trigger(live, "look");
  });
})();
