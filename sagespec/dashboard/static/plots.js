// What the charts of jobs and of endpoints share: uPlot in the page's colours, a caption, and when to draw again.
"use strict";

const plots = (() => {
  const dashes = [[], [7, 4], [2, 3], [10, 3, 2, 3], [1, 2], [12, 4]];

  // uPlot paints on a canvas, which knows no custom properties: an element that has them tells the colours.
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  const colour = (name) => {
    probe.style.setProperty("color", `var(${name})`);
    return getComputedStyle(probe).color;
  };

  const short = (value) => {
    if (value == null) return "-";
    const size = Math.abs(value);
    return size >= 1e5 || (size && size < 1e-3) ? value.toExponential(1) : String(+value.toPrecision(4));
  };

  // An empty figure at the end of a box: its caption, and the place for its plot.
  const make = (box) => {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const place = document.createElement("div");
    place.className = "plot";
    figure.append(caption, place);
    box.append(figure);
    return { caption, place };
  };

  // lines: a name and its last value each.
  const describe = (caption, title, lines) => {
    const head = document.createElement("strong");
    head.textContent = title;
    caption.replaceChildren(head, ...lines.map(([name, last], i) => {
      const key = document.createElement("span");
      key.className = `key s${i % 4}`;
      key.textContent = `${name} ${short(last)}`;
      return key;
    }));
  };

  // lines: of uPlot's series, what differs from the others. time: texts for the numbers below. scales: uPlot's.
  const draw = (place, data, { lines, time, scales }) => {
    const line = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--dim"), grid: line, ticks: line, font: "11px system-ui, sans-serif" };
    const series = lines.map((own, i) => ({ stroke: colour(`--v${i % 4}`), width: 1.75, dash: dashes[i % dashes.length], ...own }));
    return new uPlot({
      width: place.clientWidth, height: 176, legend: { show: false }, cursor: { y: false }, scales,
      series: [{}, ...series],
      axes: [{ ...axis, size: 28, values: (_, all) => all.map(time) }, { ...axis, size: 58, values: (_, all) => all.map(short) }],
    }, data, place);
  };

  // When the theme or the width of the page has changed.
  const whenLooksChange = (redraw) => {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return;
      width = innerWidth;
      redraw();
    });
  };

  return { make, describe, draw, whenLooksChange };
})();
