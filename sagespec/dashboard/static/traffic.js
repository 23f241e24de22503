// The traffic of an endpoint: curves over 15 minutes or a day, asked for again while somebody looks.
"use strict";

(() => {
  const section = document.querySelector("[data-traffic]");
  if (!section) return;
  const box = document.getElementById("traffic-plots");
  const AGAIN = { "15m": 5000, "24h": 60000 };
  const STEPPED = "Healthy instances";
  const figures = new Map();
  let found = null;
  let asked = section.dataset.window;

  const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

  // Without any error there is a line of zeros, where the traffic was watched.
  const errors = () => {
    if (found.errors.length) return found.errors.map((one) => [one.name, one.rate]);
    return [["none", found.at.map((_, i) => (found.variants.some((variant) => variant.rate[i] != null) ? 0 : null))]];
  };

  const wanted = () => {
    const of = (field) => found.variants.map((variant) => [variant.name, variant[field]]);
    return [
      ["Requests a second", of("rate")],
      ["p50, milliseconds", of("p50")],
      ["p99, milliseconds", of("p99")],
      ["Errors a second", errors()],
      ["In flight", of("active")],
      [STEPPED, of("healthy")],
    ];
  };

  const few = (plot, at) => plot.data[at].filter((value) => value != null).length < 3;
  const draw = (figure, title, count, data) => {
    figure.plot?.destroy();
    const paths = title === STEPPED ? uPlot.paths.stepped({ align: -1 }) : undefined;
    figure.plot = plots.draw(figure.place, data, {
      lines: Array.from({ length: count }, () => ({ spanGaps: false, paths, points: { show: few } })),
      time: clock,
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    });
  };

  const paint = (isOther) => {
    section.hidden = false;
    const all = wanted();
    for (const [title] of all) if (!figures.has(title)) figures.set(title, plots.make(box)); // all, before any is measured
    for (const [title, lines] of all) {
      const figure = figures.get(title);
      const data = [found.at, ...lines.map(([, values]) => values)];
      const names = JSON.stringify(lines.map(([name]) => name));
      if (isOther || figure.names !== names) draw(figure, title, lines.length, data);
      else figure.plot.setData(data);
      figure.names = names;
      plots.describe(figure.caption, title, lines.map(([name, values]) => [name, values.findLast((value) => value != null)]));
    }
  };

  let timer = 0;
  const load = async (isOther) => {
    clearTimeout(timer);
    timer = setTimeout(load, AGAIN[asked]);
    if (document.hidden) return;
    try {
      const answer = await fetch(`${section.dataset.traffic}?window=${asked}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      found = await answer.json();
      paint(isOther === true);
    } catch { /* the page's own polling says that sagespec does not answer */ }
  };

  section.addEventListener("change", (event) => {
    if (event.target.name !== "window") return;
    asked = event.target.value;
    const here = new URL(location.href);
    here.searchParams.set("window", asked);
    history.replaceState(null, "", here);
    load(true);
  });
  plots.whenLooksChange(() => found && paint(true));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) load(); });
  load(true);
})();
