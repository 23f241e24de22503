// Curves of one or several jobs. `charts.add(points)` adds what came, by the name of its series.
"use strict";

const charts = (() => {
  const section = document.querySelector("[data-charts]");
  const box = document.getElementById("charts");
  let figures = [];
  let points = new Map();

  const of = (name) => points.get(name) || [];
  const dataOf = (figure) => uPlot.join(figure.series.map((name) => [of(name).map((p) => p[0]), of(name).map((p) => p[1])]));

  const describe = (figure) => {
    plots.describe(figure.caption, figure.title, figure.series.map((name, i) => [figure.labels[i], of(name).at(-1)?.[1]]));
  };

  const length = (seconds) => {
    if (seconds >= 7200) return `${+(seconds / 3600).toFixed(1)} h`;
    return seconds >= 120 ? `${+(seconds / 60).toFixed(1)} min` : `${+seconds.toFixed(2)} s`;
  };

  const draw = (figure) => {
    figure.plot?.destroy();
    figure.plot = plots.draw(figure.place, dataOf(figure), {
      lines: figure.series.map((name) => ({ spanGaps: true, points: { show: of(name).length < 2 } })),
      time: figure.x === "step" ? (step) => step : length,
      scales: { x: { time: false } },
    });
    describe(figure);
  };

  const make = ({ title, series, labels, x }) => ({ title, series, labels: labels || series, x: x || "seconds", ...plots.make(box) });

  const load = async () => {
    const answer = await fetch(section.dataset.charts, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const found = await answer.json();
    points = new Map(Object.entries(found.points));
    box.replaceChildren();
    section.hidden = !found.figures.length;
    figures = found.figures.map(make);
    figures.forEach(draw);
  };

  // Points may come faster than they can be painted: all that came meanwhile are painted at once.
  let due = false;
  const add = (came) => {
    let isNew = false;
    for (const [name, found] of Object.entries(came)) {
      if (!points.has(name)) { isNew = true; points.set(name, []); }
      const has = points.get(name);
      const last = has.length ? has.at(-1)[0] : -Infinity;
      has.push(...found.filter((p) => p[0] > last));
    }
    if (isNew) return load();
    if (!due) {
      due = true;
      requestAnimationFrame(() => {
        due = false;
        for (const figure of figures) {
          figure.plot.setData(dataOf(figure));
          describe(figure);
        }
      });
    }
  };

  plots.whenLooksChange(() => figures.forEach(draw));
  if (section) load();
  return { add };
})();
