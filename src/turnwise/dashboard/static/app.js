// The pages work without this: it keeps what is shown up to date, and draws the charts.

const GIVEN_UP_AFTER = 5000; // ms without a connection until the page says so

function watch(address) {
  const badge = document.getElementById("liveness");
  let lost;
  const say = (text) => {
    badge.textContent = text;
    badge.hidden = false;
  };
  const source = new EventSource(address);
  source.addEventListener("open", () => {
    clearTimeout(lost);
    lost = undefined;
    say("live");
  });
  source.addEventListener("error", () => {
    lost ??= setTimeout(() => say("not live"), GIVEN_UP_AFTER);
    // A browser gives up after an answer that is no stream: too many pages, or logged out.
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(lost);
      say("not live");
      setTimeout(() => watch(address), GIVEN_UP_AFTER);
    }
  });
  source.addEventListener("change", () => {
    if (!document.hidden) document.body.dispatchEvent(new Event("turnwise:change"));
  });
  addEventListener("pagehide", () => source.close());
}

// Each chart's lines; `column` is that of samples.json. `joined`: over points of which it is not known.
const CHARTS = [
  [{ column: 1, label: "Turns per second", colour: "--accent", joined: true }],
  [
    { column: 5, label: "Median turn", unit: " s", colour: "--accent" },
    { column: 6, label: "95 of 100 at most", unit: " s", colour: "--warn" },
  ],
  [
    { column: 2, label: "Running", colour: "--accent" },
    { column: 3, label: "Waiting", colour: "--warn" },
  ],
  [{ column: 7, label: "Takeovers in a minute", colour: "--bad" }],
  [{ column: 4, label: "Ping of the store", unit: " ms", colour: "--accent" }],
];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The time of day in UTC, as everywhere on these pages.
const clock = (_, times) => times.map((time) => new Date(time * 1000).toISOString().slice(11, 19));

function options(chart, width) {
  const axis = () => ({
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 },
  });
  return {
    width,
    height: 160,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [{ ...axis(), space: 72, values: clock }, { ...axis(), size: 48 }],
    series: [
      {},
      ...chart.map((each) => ({
        label: each.label,
        stroke: colour(each.colour),
        width: 2,
        points: { show: false },
        spanGaps: each.joined === true,
      })),
    ],
  };
}

function shown(value, unit) {
  if (value === null || value === undefined) return "–";
  return `${value < 1 ? Math.round(value * 100) / 100 : Math.round(value * 10) / 10}${unit}`;
}

class Chart {
  constructor(place, chart) {
    this.chart = chart;
    this.figure = document.createElement("figure");
    this.caption = document.createElement("figcaption");
    this.drawing = document.createElement("div");
    this.drawing.setAttribute("role", "img");
    this.figure.append(this.caption, this.drawing);
    place.append(this.figure);
  }

  show(columns) {
    const data = [columns[0], ...this.chart.map((each) => columns[each.column])];
    const last = this.chart.map((each) => {
      const column = columns[each.column];
      const value = each.joined ? column.findLast((known) => known !== null) : column.at(-1);
      const said = document.createElement("span");
      said.textContent = `${each.label}: ${shown(value, each.unit ?? "")}`;
      if (this.chart.length > 1) said.className = each.colour.slice(2);
      return said;
    });
    this.caption.replaceChildren(...last);
    this.drawing.setAttribute("aria-label", last.map((each) => each.textContent).join(", "));
    const width = Math.max(200, this.figure.clientWidth);
    if (this.plot === undefined) {
      this.plot = new uPlot(options(this.chart, width), data, this.drawing);
    } else {
      this.plot.setData(data);
      if (this.plot.width !== width) this.plot.setSize({ width, height: 160 });
    }
  }

  redraw() {
    this.plot?.destroy();
    this.plot = undefined;
  }
}

async function drawCharts(place) {
  const charts = CHARTS.map((chart) => new Chart(place, chart));
  let busy = false;
  const draw = async () => {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch(place.dataset.samples);
      const columns = answer.ok ? await answer.json() : [];
      if (columns.length && columns[0].length > 1) for (const chart of charts) chart.show(columns);
    } catch {
      // The next change tries again; the badge says if there is no connection.
    } finally {
      busy = false;
    }
  };
  document.body.addEventListener("turnwise:change", draw);
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of charts) chart.redraw();
    draw();
  });
  await draw();
}

const { changes } = document.body.dataset;
if (changes) watch(changes);
const place = document.querySelector("[data-samples]");
if (place) drawCharts(place);
